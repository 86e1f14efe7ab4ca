#include "textflag.h"

// The signal handler: write(relayPipe, siginfo, 128). The kernel restores all registers afterwards.
TEXT relay<>(SB),NOSPLIT|NOFRAME,$0
	// siginfo is in SI already
	MOVL	·relayPipe(SB), DI
	MOVL	$128, DX
	MOVL	$1, AX // write
	SYSCALL
	RET

// Where the handler returns to: the kernel demands that on this architecture.
TEXT restore<>(SB),NOSPLIT|NOFRAME,$0
	MOVL	$15, AX // rt_sigreturn
	SYSCALL
	INT	$3

TEXT ·relayEntry(SB),NOSPLIT,$0-8
	LEAQ	relay<>(SB), AX
	MOVQ	AX, ret+0(FP)
	RET

TEXT ·restoreEntry(SB),NOSPLIT,$0-8
	LEAQ	restore<>(SB), AX
	MOVQ	AX, ret+0(FP)
	RET

#include "textflag.h"

// The signal handler: write(relayPipe, siginfo, 128). The kernel restores all registers afterwards.
TEXT relay<>(SB),NOSPLIT|NOFRAME,$0
	// siginfo is in R1 already
	MOVW	·relayPipe(SB), R0
	MOVD	$128, R2
	MOVD	$64, R8 // write
	SVC
	RET

// Where the handler returns to.
TEXT restore<>(SB),NOSPLIT|NOFRAME,$0
	MOVD	$139, R8 // rt_sigreturn
	SVC
	BRK

TEXT ·relayEntry(SB),NOSPLIT,$0-8
	MOVD	$relay<>(SB), R0
	MOVD	R0, ret+0(FP)
	RET

TEXT ·restoreEntry(SB),NOSPLIT,$0-8
	MOVD	$restore<>(SB), R0
	MOVD	R0, ret+0(FP)
	RET

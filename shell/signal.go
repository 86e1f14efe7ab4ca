package shell

import (
	"encoding/binary"
	"os"
	"os/signal"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// relayed are the signals that we pass on to the command. Ctrl-Z is among them because we stop when the command has
// stopped: a shell that saw us stop first would read the terminal together with a command that is yet to.
var relayed = []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2,
	unix.SIGALRM, unix.SIGTSTP, unix.SIGCONT}

// arrival is a signal that came to this process.
type arrival struct {
	signal unix.Signal
	kernel bool // from the kernel: for these signals, from a terminal, which sends them to the whole foreground group
}

// Go's os/signal does not tell where a signal came from, and that decides whether it is passed on. So these signals have
// a handler of our own (signal_*.s), which writes its siginfo to relayPipe and does nothing else.
var relayPipe int32 //lint:ignore U1000 the handlers read it

func relayEntry() uintptr   // the handler's address
func restoreEntry() uintptr // that of the return from it

// sigaction is the kernel's struct (include/linux/signal_types.h), on amd64 and arm64.
type sigaction struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

const siginfoLen = 128 // SI_MAX_SIZE

// catchSignals delivers the signals of relayed that this process was not started to ignore. nohup's SIGHUP and a
// background job's SIGINT stay ignored, for us and for the command, and with the latter its SIGQUIT: shells ignore both
// (POSIX, 2.11), but Go's start-up has forgotten about that one by the time it can be asked.
func catchSignals() (<-chan arrival, error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, err
	}
	relayPipe = int32(p[1])
	if signal.Ignored(unix.SIGINT) {
		signal.Ignore(unix.SIGQUIT)
	}
	for _, s := range relayed {
		if signal.Ignored(s) {
			continue
		}
		// include/uapi/asm-generic/signal-defs.h
		const saSiginfo, saRestorer, saOnStack, saRestart = 4, 0x04000000, 0x08000000, 0x10000000
		err := setAction(s, sigaction{handler: relayEntry(), restorer: restoreEntry(),
			flags: saSiginfo | saRestorer | saOnStack | saRestart, mask: ^uint64(0)})
		if err != nil {
			return nil, err
		}
	}
	r := os.NewFile(uintptr(p[0]), "signals")
	c := make(chan arrival, 16)
	go func() {
		var info [siginfoLen]byte
		for {
			if n, err := r.Read(info[:]); n < siginfoLen || err != nil {
				return
			}
			c <- arrival{
				signal: unix.Signal(binary.NativeEndian.Uint32(info[:])),
				kernel: int32(binary.NativeEndian.Uint32(info[8:])) > 0, // si_code
			}
		}
	}()
	return c, nil
}

func setAction(s unix.Signal, a sigaction) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&a)), 0, 8, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// Die ends this process by a signal, so that whoever waits for it sees what the command died of. It returns only where
// the kernel does not let it: the first process of a container cannot be killed so.
func Die(s unix.Signal) {
	// The command has dumped core already if it was to.
	unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	setAction(s, sigaction{})
	// To this very thread, so that it does not go on meanwhile.
	runtime.LockOSThread()
	unix.Tgkill(os.Getpid(), unix.Gettid(), s)
}

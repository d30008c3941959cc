package harness

import "syscall"

// attributes put a process into a group of its own, so that an interrupt typed
// at a terminal reaches only who started it, and end it with that one.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

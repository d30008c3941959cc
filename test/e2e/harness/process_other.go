//go:build !linux

package harness

import "syscall"

// attributes put a process into a group of its own, so that an interrupt typed
// at a terminal reaches only who started it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

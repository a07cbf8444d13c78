//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// openWithoutWaiting keeps the opening of a named pipe from waiting for its
// other end.
const openWithoutWaiting = syscall.O_NONBLOCK

// group gives a command a process group of its own, which is killed as a whole.
func group(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
}

// endGroup kills what a command that has ended has left in its group, if there
// is anything.
func endGroup(command *exec.Cmd) {
	if command.Process != nil {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
	}
}

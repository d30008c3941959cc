//go:build !linux || !amd64

package harness

import (
	"errors"
	"syscall"
	"time"
)

var errNoClock = errors.New("clocks of single processes can be stepped on Linux on amd64 alone: run this there")

func stepped(*syscall.SysProcAttr) error { return errNoClock }

func giveClock(int) (int64, error) { return 0, errNoClock }

// StepClock sets the time of day of a process. Here it cannot.
func (p *Process) StepClock(time.Duration) error { return errNoClock }

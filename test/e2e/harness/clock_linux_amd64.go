package harness

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

// A program of Go asks the machine for the time of day by a function that the kernel maps
// into each process (the vDSO). Before a process has begun, [Command.Clock] replaces that one
// by another, which adds so many seconds as stand behind it. It is in that process alone, and
// only for the time of day: what a program measures goes on as it was.

// clockGettime asks the kernel, and adds the seconds in the last eight bytes if it was asked
// for the time of day (CLOCK_REALTIME, 0).
var clockGettime = []byte{
	0xB8, 0xE4, 0x00, 0x00, 0x00, // mov eax, SYS_clock_gettime
	0x0F, 0x05, // syscall
	0x85, 0xFF, // test edi, edi
	0x75, 0x0A, // jne the ret
	0x48, 0x8B, 0x0D, 0x06, 0x00, 0x00, 0x00, // mov rcx, [the seconds]
	0x48, 0x01, 0x0E, // add [rsi], rcx
	0xC3,       // ret
	0x90, 0x90, // nothing
	0, 0, 0, 0, 0, 0, 0, 0, // the seconds
}

const secondsAt = 24 // in clockGettime

// stepped are the attributes by which a process waits to be given its clock.
func stepped(a *syscall.SysProcAttr) error {
	a.Ptrace = true
	return nil
}

// giveClock gives a process its clock that was started with [stepped], by the same thread,
// and has it begin. It returns where in its memory the seconds are.
func giveClock(pid int) (at int64, err error) {
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
		return 0, fmt.Errorf("waiting for a process to be there: %w", err)
	}
	if !status.Stopped() {
		return 0, fmt.Errorf("a process did not wait for its clock: status %#x", status)
	}
	defer func() { err = errors.Join(err, syscall.PtraceDetach(pid)) }()
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		return 0, fmt.Errorf("opening the memory of a process: %w", err)
	}
	defer memory.Close()
	at, err = findClock(pid, memory)
	if err != nil {
		return 0, err
	}
	if _, err := memory.WriteAt(clockGettime, at); err != nil {
		return 0, fmt.Errorf("giving a process its clock: %w", err)
	}
	return at + secondsAt, nil
}

// findClock is where in a process the function is.
func findClock(pid int, memory io.ReaderAt) (int64, error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, fmt.Errorf("looking for the clock of a process: %w", err)
	}
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		if n, _ := fmt.Sscanf(line, "%x-%x", &from, &to); n != 2 || !strings.Contains(line, "[vdso]") {
			continue
		}
		image := make([]byte, to-from)
		if _, err := memory.ReadAt(image, from); err != nil {
			return 0, fmt.Errorf("reading the vDSO: %w", err)
		}
		f, err := elf.NewFile(bytes.NewReader(image))
		if err != nil {
			return 0, fmt.Errorf("reading the vDSO: %w", err)
		}
		symbols, err := f.DynamicSymbols()
		if err != nil {
			return 0, fmt.Errorf("reading the vDSO: %w", err)
		}
		for _, s := range symbols {
			if s.Name == "__vdso_clock_gettime" && s.Size >= uint64(len(clockGettime)) {
				return from + int64(s.Value), nil //nolint:gosec // in a page or two
			}
		}
	}
	return 0, errors.New("the kernel gives processes no clock that can be replaced: there is no vDSO, or its __vdso_clock_gettime is too short")
}

// StepClock sets the time of day of a process that was started with [Command.Clock] so far
// off the machine's, in whole seconds.
func (p *Process) StepClock(by time.Duration) error {
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", p.PID()), os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("stepping the clock of %s: %w", p.Name, err)
	}
	defer memory.Close()
	seconds := binary.LittleEndian.AppendUint64(nil, uint64(int64(by/time.Second))) //nolint:gosec // two's complement is meant
	if _, err := memory.WriteAt(seconds, p.clock); err != nil {
		return fmt.Errorf("stepping the clock of %s: %w", p.Name, err)
	}
	return nil
}

package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// memory reads one line of /proc/<pid>/status, in bytes: VmRSS, or VmHWM, which is the
// most that it was since resetPeak.
func memory(pid int, line string) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("reading the memory of a process, as Linux tells it: %w", err)
	}
	for l := range bytes.Lines(b) {
		if f := strings.Fields(string(l)); len(f) == 3 && f[0] == line+":" {
			kb, err := strconv.ParseInt(f[1], 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("process %d tells no %s", pid, line)
}

// resetPeak makes the most memory that a process had what it has now.
func resetPeak(pid int) error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		return fmt.Errorf("resetting the peak memory of a process: %w", err)
	}
	return nil
}

// hundredths is the unit of the times in /proc/<pid>/stat, on every Linux.
const hundredths = 100

// cpuSeconds is how long a process has computed.
func cpuSeconds(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("reading the time of a process: %w", err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0, fmt.Errorf("reading the time of a process: unexpected %q", b)
	}
	total := 0.0
	for _, field := range f[11:13] { // utime, stime
		n, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return 0, fmt.Errorf("reading the time of a process: %w", err)
		}
		total += n / hundredths
	}
	return total, nil
}

package bench

import "time"

// usage says what processes use since it was made.
type usage struct {
	begun time.Time
	cpu   map[int]float64 // of each process, before
}

// beginUsage begins with processes, by their names. Others may come.
func beginUsage(processes map[string]int) (*usage, error) {
	u := &usage{cpu: map[int]float64{}}
	for _, pid := range processes {
		if err := resetPeak(pid); err != nil {
			return nil, err
		}
		used, err := cpuSeconds(pid)
		if err != nil {
			return nil, err
		}
		u.cpu[pid] = used
	}
	u.begun = time.Now()
	return u, nil
}

func (u *usage) seconds() float64 { return time.Since(u.begun).Seconds() }

// used is how long each process has computed, in seconds, and the most memory that it had,
// in bytes.
func (u *usage) used(processes map[string]int) (cpu map[string]float64, peak map[string]int64, err error) {
	cpu, peak = map[string]float64{}, map[string]int64{}
	for name, pid := range processes {
		now, err := cpuSeconds(pid)
		if err != nil {
			return nil, nil, err
		}
		cpu[name] = now - u.cpu[pid]
		if peak[name], err = memory(pid, "VmHWM"); err != nil {
			return nil, nil, err
		}
	}
	return cpu, peak, nil
}

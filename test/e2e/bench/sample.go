package bench

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"

	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// Sample is what an install holds at a moment.
type Sample struct {
	At        float64            `json:"seconds"` // since the first change
	Roles     map[string]Holding `json:"roles"`   // of all replicas of each; not of one that is being restarted
	Consumers int                `json:"consumers"`
	Streams   map[string]Stored  `json:"streams"` // without buckets
}

// Holding is what processes hold.
type Holding struct {
	Memory     float64 `json:"bytes"` // resident
	Files      float64 `json:"openFiles"`
	Goroutines float64 `json:"goroutines,omitempty"` // of the NATS server nobody tells
}

// Stored is what a stream holds.
type Stored struct {
	Messages uint64  `json:"messages"`
	Bytes    uint64  `json:"bytes"`
	Share    float64 `json:"share"` // of its limit
}

// What the metrics of a program say that it holds.
const (
	metricMemory     = "process_resident_memory_bytes"
	metricFiles      = "process_open_fds"
	metricGoroutines = "go_goroutines"
)

// sample looks at everything.
func (i *install) sample(ctx context.Context) (s Sample, err error) {
	i.mu.Lock()
	running := maps.Clone(i.running)
	i.mu.Unlock()
	s.Roles = map[string]Holding{}
	there := map[string]int{}
	for name, d := range running {
		h, err := held(ctx, d)
		if err != nil {
			continue // it starts, or ends: whether it may is seen by others
		}
		was := s.Roles[program(name)]
		s.Roles[program(name)] = Holding{was.Memory + h.Memory, was.Files + h.Files, was.Goroutines + h.Goroutines}
		there[program(name)]++
	}
	maps.DeleteFunc(s.Roles, func(role string, _ Holding) bool { return there[role] < soakReplicas })
	if s.Roles[natsServer], err = heldBy(i.nats.PID()); err != nil {
		return s, err
	}
	all, err := streamsOf(ctx, i.watching)
	if err != nil {
		return s, err
	}
	s.Streams = map[string]Stored{}
	for name, st := range all {
		if s.Consumers += st.Consumers; strings.HasPrefix(name, "KV_") {
			continue
		}
		stored := Stored{Messages: st.Msgs, Bytes: st.Bytes}
		switch name {
		case subject.Events, subject.Live, subject.Write:
			stored.Share = float64(st.Bytes) / float64(i.limit)
		}
		s.Streams[name] = stored
	}
	return s, nil
}

// held is what a program says that it holds.
func held(ctx context.Context, d *harness.Daemon) (h Holding, err error) {
	code, body, err := d.Get(ctx, "/metrics")
	if err != nil {
		return h, err
	}
	found := 0
	for line := range strings.Lines(body) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		of := map[string]*float64{metricMemory: &h.Memory, metricFiles: &h.Files, metricGoroutines: &h.Goroutines}[name]
		if of == nil {
			continue
		}
		if *of, err = strconv.ParseFloat(value, 64); err != nil {
			return h, fmt.Errorf("the metrics of %s: %w", d.Name, err)
		}
		found++
	}
	if found != 3 {
		return h, fmt.Errorf("the metrics of %s (%d) tell %d of three things", d.Name, code, found)
	}
	return h, nil
}

// heldBy is what a process holds, as Linux tells it.
func heldBy(pid int) (h Holding, err error) {
	bytes, err := memory(pid, "VmRSS")
	if err != nil {
		return h, err
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return h, fmt.Errorf("reading the open files of a process: %w", err)
	}
	return Holding{Memory: float64(bytes), Files: float64(len(files))}, nil
}

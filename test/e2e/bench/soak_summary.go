package bench

import (
	"fmt"
	"slices"
	"time"

	"github.com/kubescribe/kubescribe/shared/subject"
)

// What is to be reached: nothing grows. Memory moves by itself, and so, a little, does the
// rest: how much is open goes by what happens at the moment.
const (
	flatShare     = 1.1       // of memory in the last quarter, to that in the second,
	flatBytes     = 5_000_000 // and so much
	flatCount     = 8         // files, goroutines and consumers more or less
	fullestStream = 0.9       // of its limit
)

// over is the values of samples that lie between two shares of the time, as far as they
// have one.
func over(samples []Sample, lasts time.Duration, from, to float64, of func(Sample) (float64, bool)) (values []float64) {
	for _, s := range samples {
		at := s.At / lasts.Seconds()
		if v, ok := of(s); ok && at > from && at <= to {
			values = append(values, v)
		}
	}
	return values
}

// median is the middle one of values, 0 if there are none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// course is how something went, by medians.
type course struct {
	first, last  float64 // of the first and the last tenth of the time
	second, late float64 // of the second and the last quarter
	perHour      float64 // between these two
	known        bool
}

func courseOf(samples []Sample, lasts time.Duration, of func(Sample) (float64, bool)) (c course) {
	second, late := over(samples, lasts, 0.25, 0.5, of), over(samples, lasts, 0.75, 1, of)
	c.known = len(second) > 0 && len(late) > 0
	c.first, c.last = median(over(samples, lasts, 0, 0.1, of)), median(over(samples, lasts, 0.9, 1, of))
	c.second, c.late = median(second), median(late)
	c.perHour = (c.late - c.second) / (lasts.Hours() / 2)
	return c
}

// flat is whether something that is counted stays what it is, but for a few.
func (c course) flat() bool { return c.late <= c.second+flatCount && c.late >= c.second-flatCount }

func (c course) counts() string {
	return fmt.Sprintf("%.0f → %.0f (%+.1f/h)", c.first, c.last, c.perHour)
}

func (c course) bytes() string {
	return fmt.Sprintf("%.1f → %.1f MB (%+.1f MB/h)", c.first/1e6, c.last/1e6, c.perHour/1e6)
}

// soakVerdicts judges what was seen. Each value is that of the first tenth of the time, that of the last,
// and how much it grew in an hour; the targets are of the second and the last quarter. What
// the NATS server holds goes by what is stored, and has no target.
func soakVerdicts(samples []Sample, lasts time.Duration) (all []Verdict, besides []figure) {
	for _, role := range roles {
		of := func(what func(Holding) float64) course {
			return courseOf(samples, lasts, func(s Sample) (float64, bool) {
				h, ok := s.Roles[role]
				return what(h), ok
			})
		}
		memory, files, goroutines := of(func(h Holding) float64 { return h.Memory }), of(func(h Holding) float64 { return h.Files }), of(func(h Holding) float64 { return h.Goroutines })
		all = append(all,
			Verdict{role + ": memory flat", memory.bytes(), memory.known && memory.late <= memory.second*flatShare+flatBytes},
			Verdict{role + ": open files flat", files.counts(), files.known && files.flat()},
			Verdict{role + ": goroutines flat", goroutines.counts(), goroutines.known && goroutines.flat()},
		)
	}
	consumers := courseOf(samples, lasts, func(s Sample) (float64, bool) { return float64(s.Consumers), true })
	all = append(all, Verdict{"consumers flat", consumers.counts(), consumers.known && consumers.flat()})
	for _, name := range []string{subject.Events, subject.Live, subject.Write} {
		share := 0.0
		for _, s := range samples {
			share = max(share, s.Streams[name].Share)
		}
		all = append(all, Verdict{fmt.Sprintf("%s: at most %.0f %% of its limit", name, fullestStream*100), fmt.Sprintf("%.0f %%", share*100), share <= fullestStream})
		stored := courseOf(samples, lasts, func(s Sample) (float64, bool) { return float64(s.Streams[name].Messages), true })
		besides = append(besides, figure{name + ": messages", stored.counts()})
	}
	server := func(what func(Holding) float64) course {
		return courseOf(samples, lasts, func(s Sample) (float64, bool) { h, ok := s.Roles[natsServer]; return what(h), ok })
	}
	return all, append(besides,
		figure{natsServer + ": memory", server(func(h Holding) float64 { return h.Memory }).bytes()},
		figure{natsServer + ": open files", server(func(h Holding) float64 { return h.Files }).counts()})
}

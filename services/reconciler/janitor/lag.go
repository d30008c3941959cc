package janitor

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// metrics have labels from closed sets, but for destinations, which people configure: those
// for which something waits.
type metrics struct {
	bytes, limit *prometheus.GaugeVec // by stream
	routed       *prometheus.GaugeVec // by part
	waiting, age *prometheus.GaugeVec // by hop and destination
}

func newMetrics(r prometheus.Registerer) metrics {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "kubescribe_reconciler_" + name, Help: help}, labels)
	}
	m := metrics{
		bytes:   gauge("stream_bytes", "What a stream holds. From 80 % of its limit on room is made, at 90 % who writes to it stands still.", "stream"),
		limit:   gauge("stream_limit_bytes", "What a stream may hold.", "stream"),
		routed:  gauge("router_lag_messages", "Events stored and not yet routed, by part.", "part"),
		waiting: gauge("lag_messages", "What waits for a destination's stream, or for the git-writer to bring it to the remote, of the destinations for which something does.", "hop", "destination"),
		age:     gauge("lag_seconds", "Since when the oldest of that waits.", "hop", "destination"),
	}
	r.MustRegister(m.bytes, m.limit, m.routed, m.waiting, m.age)
	return m
}

// show sets what waits before a hop.
func (m metrics) show(hop string, k event.DestinationKey, w event.Waiting, now time.Time) {
	if w.Messages == 0 {
		m.waiting.DeleteLabelValues(hop, k.String())
		m.age.DeleteLabelValues(hop, k.String())
		return
	}
	m.waiting.WithLabelValues(hop, k.String()).Set(float64(w.Messages))
	m.age.WithLabelValues(hop, k.String()).Set(max(now.Sub(w.Since), 0).Seconds())
}

// reset shows nothing any more.
func (m metrics) reset() {
	for _, g := range []*prometheus.GaugeVec{m.bytes, m.limit, m.routed, m.waiting, m.age} {
		g.Reset()
	}
}

// The hops behind which something may wait, as labels.
const (
	hopStream = "stream"
	hopWriter = "git-writer"
)

// Count counts what waits before each hop, and shows it: in the metrics, and of
// destinations in KS_LAG. Of a destination for which nothing waits that takes three reads.
func (j *Janitor) Count(ctx context.Context) error {
	for part := range subject.Parts {
		_, c, err := j.bus.Checkpoint(ctx, subject.Live, subject.LivePart(part))
		if err != nil {
			return err
		}
		w, err := j.waiting(ctx, subject.Events, subject.EventPart(part), c.Seq)
		if err != nil {
			return err
		}
		j.metrics.routed.WithLabelValues(strconv.Itoa(part)).Set(float64(w.Messages))
	}
	shown, err := j.lags.All(ctx)
	if err != nil {
		return err
	}
	positions := map[string]uint64{}
	all, _ := j.registry.All()
	for k, d := range all {
		position, known := positions[d.BranchKey]
		if !known {
			hint, _, err := j.cursors.Newest(ctx, subject.HintKey(d.BranchKey))
			if err != nil && !errors.Is(err, bus.ErrNoMessage) {
				return err
			}
			position = hint.Position
			positions[d.BranchKey] = position
		}
		lag, err := j.lag(ctx, d.Destination, position)
		if err != nil {
			return err
		}
		now := time.Now()
		j.metrics.show(hopStream, k, lag.Stream, now)
		j.metrics.show(hopWriter, k, lag.Writer, now)
		if err := j.tell(ctx, k, lag, shown[subject.DestinationToken(k)]); err != nil {
			return err
		}
	}
	return j.forget(ctx, shown, all)
}

func (j *Janitor) lag(ctx context.Context, d event.Destination, position uint64) (lag event.Lag, err error) {
	lag.V = event.Version
	_, c, err := j.bus.Checkpoint(ctx, subject.Write, subject.WriteDestination(d.Key))
	if err != nil {
		return lag, err
	}
	if lag.Stream, err = j.waiting(ctx, subject.Live, subject.LiveDestination(d.Key), c.Seq); err != nil {
		return lag, err
	}
	lag.Writer, err = j.waiting(ctx, subject.Write, subject.WriteData(d.BranchKey, d.Key), position)
	return lag, err
}

// waiting is what waits of a stream's messages under a filter, behind a sequence.
func (j *Janitor) waiting(ctx context.Context, stream, filter string, after uint64) (event.Waiting, error) {
	m, err := j.bus.After(ctx, stream, filter, after)
	if errors.Is(err, bus.ErrNoMessage) {
		return event.Waiting{}, nil
	}
	if err != nil {
		return event.Waiting{}, err
	}
	n, err := j.bus.Waiting(ctx, stream, filter, after)
	return event.Waiting{Messages: n, Since: m.Time}, err
}

// tell shows a lag in KS_LAG, if another one stands there. What somebody else has written
// meanwhile is as good.
func (j *Janitor) tell(ctx context.Context, k event.DestinationKey, lag event.Lag, was bus.Entry[event.Lag]) error {
	if was.Record.Stream.Equal(lag.Stream) && was.Record.Writer.Equal(lag.Writer) {
		return nil
	}
	if _, err := j.lags.Put(ctx, subject.DestinationToken(k), lag, was.Revision); err != nil && !errors.Is(err, bus.ErrConflict) {
		return err
	}
	return nil
}

// forget removes what is shown of destinations that have left.
func (j *Janitor) forget(ctx context.Context, shown map[string]bus.Entry[event.Lag], all map[event.DestinationKey]bus.Registered) error {
	for key, e := range shown {
		k, err := subject.ParseDestinationToken(key)
		if _, registered := all[k]; registered && err == nil {
			continue
		}
		if err := j.lags.Remove(ctx, key, e.Revision); err != nil && !errors.Is(err, bus.ErrConflict) {
			return err
		}
		j.metrics.show(hopStream, k, event.Waiting{}, time.Time{})
		j.metrics.show(hopWriter, k, event.Waiting{}, time.Time{})
	}
	return nil
}

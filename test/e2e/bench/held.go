package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// HeldBack is what changes cost that wait for a run.
type HeldBack struct {
	Changes     int     `json:"changes"`
	StreamBytes int64   `json:"streamBytes"` // what stream's memory was at the BARRIER
	AddedBytes  int64   `json:"addedBytes"`  // what it grew by at most while they were held
	Landed      float64 `json:"landedSeconds"`
}

// holdBack keeps a run that holds changes back waiting at its BARRIER, by a git-writer
// that stands still, while every object of a state changes. Once it goes on, each of
// the changes has to come to Git, as a commit of its own.
func (b *bench) holdBack(ctx context.Context) (err error) {
	i, api, err := b.generated(ctx, "held", b.Held)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.close(), api.close()) }()
	ctx, cancel := i.within(ctx, caseLimit)
	defer cancel()
	if err := i.start(ctx, filepath.Join(i.dir, "kubeconfig")); err != nil {
		return i.cause(err)
	}
	if _, err := i.closed(ctx, ""); err != nil {
		return err
	}
	commits, err := i.remote.Count()
	if err != nil {
		return err
	}
	writer, stream := i.running["git-writer"], i.running["stream"]
	if err := writer.Pause(); err != nil {
		return err
	}
	before, err := i.ask(ctx, event.ReasonHistoryRewritten) // one that holds
	if err != nil {
		return err
	}
	if err := i.atBarrier(ctx, before); err != nil {
		return err
	}
	h := &HeldBack{Changes: b.Held}
	if h.StreamBytes, err = memory(stream.PID(), "VmRSS"); err != nil {
		return err
	}
	if err := resetPeak(stream.PID()); err != nil {
		return err
	}
	api.touch()
	_, err = i.awaitPhase(ctx, destination, "all changes to be held back", func(rec event.PhaseRecord) bool {
		return rec.Phase == event.StartupReconcile && rec.Counts.Held >= uint64(b.Held)
	})
	if err != nil {
		return err
	}
	peak, err := memory(stream.PID(), "VmHWM")
	if err != nil {
		return err
	}
	h.AddedBytes = max(peak-h.StreamBytes, 0)
	begun := time.Now()
	if err := writer.Resume(); err != nil {
		return err
	}
	if _, err := i.closed(ctx, before); err != nil {
		return err
	}
	err = i.cause(harness.Poll(ctx, 200*time.Millisecond, "each change to have its commit", func(context.Context) error {
		n, err := i.remote.Count()
		if err == nil && n != commits+b.Held {
			err = fmt.Errorf("%d commits, want %d", n-commits, b.Held)
		}
		return err
	}))
	if err != nil {
		return err
	}
	h.Landed = time.Since(begun).Seconds()
	want, err := folderOf(b.Held, api.version)
	if err != nil {
		return err
	}
	if err := errors.Join(i.landed(ctx, want), i.quiet()); err != nil {
		return err
	}
	b.held = h
	b.say("%6d changes held back: stream had %s and grew by %s; %.1f s until each was a commit", h.Changes, megabytes(h.StreamBytes), megabytes(h.AddedBytes), h.Landed)
	return nil
}

// atBarrier waits until a run that came after another one has its BARRIER in KS_WRITE.
func (i *install) atBarrier(ctx context.Context, before string) error {
	rec, err := i.awaitPhase(ctx, destination, "a run that holds changes back", func(rec event.PhaseRecord) bool {
		return rec.Run != before && rec.Phase == event.StartupReconcile
	})
	if err != nil {
		return err
	}
	return i.cause(harness.Poll(ctx, 20*time.Millisecond, "the BARRIER", func(ctx context.Context) error {
		m, err := i.bus.LastFor(ctx, subject.Write, subject.WriteDestination(destination))
		if err != nil {
			return err
		}
		barrier, err := event.ParseBarrier(m.Header)
		if err == nil && barrier.Run != rec.Run {
			err = fmt.Errorf("it is of run %s", barrier.Run)
		}
		return err
	}))
}

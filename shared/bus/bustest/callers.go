package bustest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// noted is a context that says when somebody first waits for its end.
type noted struct {
	context.Context
	once    sync.Once
	waiting chan struct{}
}

func (n *noted) Done() <-chan struct{} {
	n.once.Do(func() { close(n.waiting) })
	return n.Context.Done()
}

// calls has each of several callers wait for a turn, in their order, and then lets them have it: call is
// given the number of the caller, and returns once it has its answer. Who is to give up does so before.
func calls(t *testing.T, l *bus.Lane, callers int, givesUp int, call func(ctx context.Context, n int)) {
	t.Helper()
	var all sync.WaitGroup
	nothing := errors.New("nothing is to be marked")
	err := l.Freeze(t.Context(), func() (string, bus.Output, error) {
		for n := range callers {
			ctx, giveUp := context.WithCancel(t.Context())
			t.Cleanup(giveUp)
			called := &noted{Context: ctx, waiting: make(chan struct{})}
			done := make(chan struct{})
			all.Go(func() {
				defer close(done)
				call(called, n)
			})
			<-called.waiting
			if n == givesUp {
				giveUp()
				<-done
			}
		}
		return "", bus.Output{}, nothing
	})
	if !errors.Is(err, nothing) {
		t.Error(err)
	}
	all.Wait()
}

// publishTogether: what several callers wait to have stored is one batch, in the order of their
// calls; who gives up before its turn has nothing stored.
func publishTogether(t *testing.T, s Server) {
	const callers, givesUp = 10, 4
	b := provisioned(t, s)
	l, err := b.TakeLane(t.Context(), 0, "test", "a")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for n := range callers {
		if n != givesUp {
			want = append(want, strconv.Itoa(2*n), strconv.Itoa(2*n+1))
		}
	}
	calls(t, l, callers, givesUp, func(ctx context.Context, n int) {
		var outcomes []string
		stored, err := l.PublishAll(ctx, told(&outcomes, change(fmt.Sprint("web-", n), strconv.Itoa(2*n), "a"), change(fmt.Sprint("api-", n), strconv.Itoa(2*n+1), "a")))
		switch {
		case n == givesUp:
			if stored != 0 || len(outcomes) != 0 || !errors.Is(err, context.Canceled) {
				t.Errorf("who gave up: %d stored, told %q, %v", stored, outcomes, err)
			}
		case stored != 2 || err != nil || !slices.Equal(outcomes, []string{strconv.Itoa(2 * n), strconv.Itoa(2*n + 1)}):
			t.Errorf("caller %d: %d stored, told %q, %v", n, stored, outcomes, err)
		}
	})
	versions, batches := inLane(t, b)
	if !slices.Equal(versions, want) {
		t.Errorf("the lane holds %q, want %q", versions, want)
	}
	if len(batches) != len(want) || len(slices.Compact(batches)) != 1 {
		t.Errorf("it was stored in the batches %q", batches)
	}
}

// refusedTogether: of several callers that wait, each has its own error: one whose message can never
// be stored keeps nobody else's back, and once another owner has taken over, each is told so.
func refusedTogether(t *testing.T, s Server) {
	const callers, wrong = 10, 4
	b := provisioned(t, s)
	l, err := b.TakeLane(t.Context(), 0, "test", "a")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for n := range callers {
		if n != wrong {
			want = append(want, strconv.Itoa(n))
		}
	}
	calls(t, l, callers, callers, func(ctx context.Context, n int) {
		c := change(fmt.Sprint("web-", n), strconv.Itoa(n), "a")
		if n == wrong {
			c.Manifest = make([]byte, bus.MaxPayload+1)
		}
		var outcomes []string
		_, err := l.PublishAll(ctx, told(&outcomes, c))
		if told := strings.Join(outcomes, ", "); n == wrong && (fault.ClassOf(err) != fault.Poison || told != strconv.Itoa(n)+" not") || n != wrong && (err != nil || told != strconv.Itoa(n)) {
			t.Errorf("caller %d is told %q, %v", n, told, err)
		}
	})
	if _, err := s.Connect(t).TakeLane(t.Context(), 0, "test", "b"); err != nil {
		t.Fatal(err)
	}
	calls(t, l, callers, callers, func(ctx context.Context, n int) {
		var outcomes []string
		_, err := l.PublishAll(ctx, told(&outcomes, change(fmt.Sprint("web-", n), strconv.Itoa(callers+n), "a")))
		if !errors.Is(err, bus.ErrFenced) || len(outcomes) != 1 {
			t.Errorf("caller %d without the lane is told %q, %v", n, outcomes, err)
		}
	})
	if versions, _ := inLane(t, b); !slices.Equal(versions, want) {
		t.Errorf("the lane holds %q, want %q", versions, want)
	}
}

// inLane are the versions that a lane holds, and the batches that messages of it were stored in. A
// read that ends is begun anew, as whoever reads does: a node that was just restarted may hand out nothing.
func inLane(t *testing.T, b *bus.Bus) (versions, batches []string) {
	t.Helper()
	var ended error
	until(t, "the lane to be read", func() bool {
		versions, batches = nil, nil
		for m, err := range b.Range(t.Context(), subject.Events, subject.EventPart(0), 1, 1<<60) {
			if ended = err; err != nil {
				t.Logf("reading the lane: %v", err)
				break
			}
			versions = append(versions, m.Header[event.HeaderRevision]...)
			batches = append(batches, m.Header["Nats-Batch-Id"]...)
		}
		return ended == nil
	})
	return versions, batches
}

package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// journal notes what happened when, by the clock of the bubble.
type journal struct {
	mu    sync.Mutex
	begun time.Time
	lines []string
}

func (j *journal) note(what string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf("%s %s", time.Since(j.begun), what))
}

// stopping is a role that takes a while to stop once it was told to.
func (j *journal) stopping(name string, takes time.Duration) Role {
	return Role{Name: name, Run: func(ctx context.Context) error {
		<-ctx.Done()
		j.note(name + " told")
		<-time.After(takes)
		j.note(name + " stopped")
		return nil
	}}
}

func TestRunAllStopsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{begun: time.Now()}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		roles := []Role{j.stopping("source", time.Second), j.stopping("middle", 2*time.Second), j.stopping("sink", 0)}
		if err := RunAll(ctx, quiet(), roles); err != nil {
			t.Fatal(err)
		}
		want := []string{"10s source told", "11s source stopped", "11s middle told", "13s middle stopped", "13s sink told", "13s sink stopped"}
		if !slices.Equal(j.lines, want) {
			t.Errorf("it went\n%s\nwant\n%s", strings.Join(j.lines, "\n"), strings.Join(want, "\n"))
		}
	})
}

// TestRunAllStopsOthers: a role that fails, or ends without being told to, takes
// the others with it, in order, and is what RunAll reports.
func TestRunAllStopsOthers(t *testing.T) {
	boom := errors.New("boom")
	for name, tt := range map[string]struct {
		result error
		want   string
	}{
		"fails":          {boom, "bad: boom"},
		"ends by itself": {nil, "bad: ended by itself"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := &journal{begun: time.Now()}
				bad := Role{Name: "bad", Run: func(context.Context) error {
					<-time.After(5 * time.Second)
					return tt.result
				}}
				var log bytes.Buffer
				err := RunAll(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), []Role{j.stopping("first", time.Second), bad, j.stopping("last", 0)})
				if err == nil || err.Error() != tt.want {
					t.Errorf("it returned %v, want %s", err, tt.want)
				}
				if tt.result != nil && !errors.Is(err, boom) {
					t.Errorf("%v does not wrap the cause", err)
				}
				want := []string{"5s first told", "6s first stopped", "6s last told", "6s last stopped"}
				if !slices.Equal(j.lines, want) {
					t.Errorf("it went %q, want %q", j.lines, want)
				}
				if text := log.String(); !strings.Contains(text, "role=bad") || strings.Contains(text, "boom") {
					t.Errorf("the log, whose reader is told why by the caller, says: %s", text)
				}
			})
		})
	}
}

// TestRunAllReportsEveryFailure: one that fails while it stops is reported too.
func TestRunAllReportsEveryFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := errors.New("first"), errors.New("second")
		err := RunAll(t.Context(), quiet(), []Role{
			{Name: "a", Run: func(ctx context.Context) error { <-ctx.Done(); return second }},
			{Name: "b", Run: func(context.Context) error { return first }},
		})
		if !errors.Is(err, first) || !errors.Is(err, second) {
			t.Errorf("it returned %v", err)
		}
	})
}

// TestRunAllBoundsEachStop: a role that is late is told of, and no failure.
func TestRunAllBoundsEachStop(t *testing.T) {
	for name, tt := range map[string]struct {
		within, want time.Duration
	}{
		"as given":   {7 * time.Second, 7 * time.Second},
		"by default": {0, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := &journal{begun: time.Now()}
				release := make(chan struct{})
				defer close(release)
				stuck := Role{Name: "stuck", StopWithin: tt.within, Run: func(context.Context) error { <-release; return nil }}
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				var log bytes.Buffer
				if err := RunAll(ctx, slog.New(slog.NewTextHandler(&log, nil)), []Role{stuck, j.stopping("next", time.Second)}); err != nil {
					t.Errorf("it returned %v", err)
				}
				if text := log.String(); !strings.Contains(text, "role=stuck") || strings.Contains(text, "role=next") {
					t.Errorf("the log says: %s", text)
				}
				want := []string{fmt.Sprintf("%s next told", tt.want), fmt.Sprintf("%s next stopped", tt.want+time.Second)}
				if !slices.Equal(j.lines, want) {
					t.Errorf("it went %q, want %q", j.lines, want)
				}
			})
		})
	}
}

// TestRunAllKeepsValues: roles see what ctx carries, not when it ends.
func TestRunAllKeepsValues(t *testing.T) {
	type key struct{}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "here"))
	got := make(chan any, 1)
	err := RunAll(ctx, quiet(), []Role{{Name: "a", Run: func(rctx context.Context) error {
		got <- rctx.Value(key{})
		cancel()
		<-rctx.Done()
		return nil
	}}})
	if v := <-got; v != "here" || err != nil {
		t.Errorf("the role saw %v, and %v", v, err)
	}
}

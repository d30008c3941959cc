package fault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

func TestClassOf(t *testing.T) {
	base := errors.New("cause")
	for _, tt := range []struct {
		name string
		err  error
		want Class
	}{
		{"none", base, Retry},
		{"nil", nil, Retry},
		{"poison", As(Poison, base), Poison},
		{"stalled", As(Stalled, base), Stalled},
		{"terminate", As(Terminate, base), Terminate},
		{"wrapped", fmt.Errorf("pushing: %w", As(Stalled, base)), Stalled},
		{"wrapped twice", fmt.Errorf("b: %w", fmt.Errorf("a: %w", As(Poison, base))), Poison},
		{"joined", errors.Join(base, As(Terminate, base)), Terminate},
		{"the outermost wins", As(Retry, fmt.Errorf("again: %w", As(Terminate, base))), Retry},
		{"the outermost wins, upwards", As(Terminate, As(Retry, base)), Terminate},
		{"text is no class", fmt.Errorf("said: %s", As(Poison, base)), Retry},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := ClassOf(tt.err); got != tt.want {
				t.Errorf("%v is %s, want %s", tt.err, got, tt.want)
			}
		})
	}
}

func TestAsKeepsTheError(t *testing.T) {
	base := errors.New("cause")
	err := As(Stalled, fmt.Errorf("pushing: %w", base))
	if err.Error() != "pushing: cause" {
		t.Errorf("the class changed the text to %q", err)
	}
	if !errors.Is(err, base) {
		t.Error("the class hides the cause")
	}
	if As(Poison, nil) != nil {
		t.Error("no error became one")
	}
}

func TestClassNames(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range []Class{Retry, Poison, Stalled, Terminate} {
		if s := c.String(); s == "" || seen[s] {
			t.Errorf("class %d is called %q", c, s)
		} else {
			seen[s] = true
		}
	}
}

// TestBackoffBounds: for any bounds, a delay is between half a step and a step,
// steps double from Min to Max, and never stop at Max.
func TestBackoffBounds(t *testing.T) {
	const seed = 1
	r := rand.New(rand.NewPCG(seed, seed))
	for range 2000 {
		b := Backoff{Min: time.Duration(r.Int64N(1 << r.IntN(62))), Max: time.Duration(r.Int64N(1 << r.IntN(62)))}
		lo, hi := b.Min, b.Max
		if lo == 0 {
			lo = 100 * time.Millisecond
		}
		if hi == 0 {
			hi = max(lo, 10*time.Second)
		}
		step := min(lo, hi)
		for n := range 100 {
			if d := b.Next(); d < step/2 || d > step {
				t.Fatalf("Backoff{%s, %s}: delay %d is %s, its step is %s", b.Min, b.Max, n, d, step)
			}
			if step > hi/2 {
				step = max(step, hi) // the last doubling is cut
			} else {
				step *= 2
			}
		}
	}
}

func TestBackoffDefaultsAndReset(t *testing.T) {
	var b Backoff
	if d := b.Next(); d < 50*time.Millisecond || d > 100*time.Millisecond {
		t.Errorf("the first delay is %s", d)
	}
	var d time.Duration
	for range 20 {
		d = b.Next()
	}
	if d < 5*time.Second || d > 10*time.Second {
		t.Errorf("the delay settles at %s", d)
	}
	b.Reset()
	if d := b.Next(); d > 100*time.Millisecond {
		t.Errorf("after a reset the delay is %s", d)
	}
}

// TestBackoffMaxAlone: Max is an upper bound even below the default Min.
func TestBackoffMaxAlone(t *testing.T) {
	b := Backoff{Max: 20 * time.Millisecond}
	for range 10 {
		if d := b.Next(); d > b.Max {
			t.Fatalf("a delay of %s is above %s", d, b.Max)
		}
	}
}

// TestBackoffSpreads: two processes that fail together do not retry together.
func TestBackoffSpreads(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 100 {
		b := Backoff{Min: time.Second}
		seen[b.Next()] = true
	}
	if len(seen) < 50 {
		t.Errorf("%d different delays of 100", len(seen))
	}
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begun := time.Now()
		if err := Wait(ctx, 2*time.Second); err != nil || time.Since(begun) != 2*time.Second {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
		if err := Wait(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != 3*time.Second {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
	})
}

func TestGist(t *testing.T) {
	one := fmt.Errorf("fetching: %w", errors.New("read tcp 127.0.0.1:51234->10.0.0.1:443: read: connection reset by peer"))
	two := fmt.Errorf("fetching: %w", errors.New("read tcp 127.0.0.1:51300->10.0.0.1:443: read: connection reset by peer"))
	other := errors.New("fetching: dial tcp 10.0.0.1:443: connect: connection refused")
	if Gist(one) != Gist(two) || Gist(one) == Gist(other) || Gist(other) != other.Error() {
		t.Errorf("%q, %q, %q", Gist(one), Gist(two), Gist(other))
	}
}

// Package fault sorts errors by what is to be done about them. One switch over
// [ClassOf] decides between retry, dead letter and giving up, in every role.
package fault

import (
	"context"
	"errors"
	"math/rand/v2"
	"regexp"
	"time"
)

// Class is what is to be done about an error.
type Class int

const (
	// Retry is the class of every error that nobody gave another: wait, then
	// try the same again. Nothing is lost by waiting.
	Retry Class = iota
	// Poison is wrong by itself and will be wrong again: it goes to the dead
	// letters with its reason, and the cursor moves on.
	Poison
	// Stalled needs a person and loses nothing: keep the backlog, say why,
	// retry with backoff.
	Stalled
	// Terminate cannot be mended by this process: the role stops.
	Terminate
)

// String names the class in logs and metric labels.
func (c Class) String() string {
	switch c {
	case Poison:
		return "poison"
	case Stalled:
		return "stalled"
	case Terminate:
		return "terminate"
	case Retry:
	}
	return "retry"
}

type classed struct {
	error
	class Class
}

func (e classed) Unwrap() error { return e.error }

// As gives err a class. The outermost class wins. A nil error stays nil.
func As(c Class, err error) error {
	if err == nil {
		return nil
	}
	return classed{err, c}
}

// ClassOf is the class of err; Retry when nobody said otherwise.
func ClassOf(err error) Class {
	var e classed
	if errors.As(err, &e) {
		return e.class
	}
	return Retry
}

// Backoff is an exponential delay with jitter, from Min to Max. The zero value is
// 100 ms to 10 s. It is not safe for concurrent use.
type Backoff struct {
	Min, Max time.Duration
	n        int
}

// Next is how long to wait before the next attempt: at least half of, and at
// most, a step that doubles from Min to Max.
func (b *Backoff) Next() time.Duration {
	lo, hi := b.Min, b.Max
	if lo <= 0 {
		lo = 100 * time.Millisecond
	}
	if hi <= 0 {
		hi = max(lo, 10*time.Second)
	}
	lo = min(lo, hi)
	step := hi
	if lo <= hi>>b.n {
		step = lo << b.n
	}
	b.n++
	return step/2 + rand.N(step/2+1)
}

// Reset starts over after a success.
func (b *Backoff) Reset() { b.n = 0 }

// Wait waits for d, or less when ctx ends, then returning its error.
func Wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// ownEnd is a connection's own end, in an error of package net.
var ownEnd = regexp.MustCompile(`\b(tcp|udp) \S+->`)

// Gist is the text of an error without what is another each time it happens, the
// port that a connection had on this side: equal for two errors that are worth
// saying once.
func Gist(err error) string { return ownEnd.ReplaceAllString(err.Error(), "$1 ") }

package bus

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
)

// TestWhileAny: what is done for several callers ends once all of them have given up, and not
// before.
func TestWhileAny(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []*request
		var give []context.CancelFunc
		for range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			all, give = append(all, &request{ctx: ctx}), append(give, cancel)
		}
		ctx, done := whileAny(all)
		defer done()
		for _, up := range give {
			if err := ctx.Err(); err != nil {
				t.Errorf("somebody waits, and it is %v", err)
			}
			up()
			synctest.Wait()
		}
		if err := ctx.Err(); !errors.Is(err, context.Canceled) {
			t.Errorf("nobody waits, and it is %v", err)
		}
	})
}

// TestDequeue: one batch's worth is taken, and the first in any case.
func TestDequeue(t *testing.T) {
	l := &Lane{}
	of := func(messages, bytes int) *request {
		r := &request{ctx: t.Context(), items: make([]Item, messages)}
		r.items[0].Data = make([]byte, bytes)
		l.enqueue(r)
		return r
	}
	large, first, second, third := of(1, 2*batchBytes), of(batchMessages-1, 1), of(1, 1), of(1, 1)
	for _, want := range [][]*request{{large}, {first, second}, {third}, nil} {
		if got := l.dequeue(); !slices.Equal(got, want) {
			t.Errorf("%d requests, want %d", len(got), len(want))
		}
	}
	if waits := of(1, 1); !l.withdraw(waits) || l.withdraw(waits) || l.dequeue() != nil {
		t.Error("what was taken back is still there")
	}
}

package bustest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
)

// told are items whose outcomes are noted.
func told(outcomes *[]string, changes ...event.Change) (items []bus.Item) {
	for _, c := range changes {
		i := item(c)
		i.Then = func(duplicate bool, err error) {
			switch {
			case duplicate:
				*outcomes = append(*outcomes, c.ResourceVersion+" again")
			case err != nil:
				*outcomes = append(*outcomes, c.ResourceVersion+" not")
			default:
				*outcomes = append(*outcomes, c.ResourceVersion)
			}
		}
		items = append(items, i)
	}
	return items
}

// publishAll: many messages are stored in their order, each once, and each is told its own
// outcome: also where one was stored before, or never can be, and where another owner has
// taken over.
func publishAll(t *testing.T, s Server) {
	b := provisioned(t, s)
	l, err := b.TakeLane(t.Context(), 0, "test", "a")
	if err != nil {
		t.Fatal(err)
	}
	var changes []event.Change
	for n := range 40 {
		changes = append(changes, change(fmt.Sprint("web-", n%7), strconv.Itoa(n+1), strconv.Itoa(n)))
	}
	publishAll := func(stored int, want error, changes ...event.Change) []string {
		t.Helper()
		var outcomes []string
		if n, err := l.PublishAll(t.Context(), told(&outcomes, changes...)); n != stored || !errors.Is(err, want) {
			t.Fatalf("%d are stored, %v; want %d, %v", n, err, stored, want)
		}
		return outcomes
	}
	if got := publishAll(20, nil, changes[:20]...); !slices.Equal(got, numbers(1, 20)) {
		t.Errorf("told %q", got)
	}
	// One of them stands there already: as much as a lost answer leaves.
	if got := publishAll(13, nil, slices.Concat(changes[15:16], changes[20:32])...); !slices.Equal(got, append([]string{"16 again"}, numbers(21, 32)...)) {
		t.Errorf("told %q of one that was there", got)
	}
	tooLarge := slices.Clone(changes[32:])
	tooLarge[4].Manifest = make([]byte, bus.MaxPayload+1)
	var outcomes []string
	n, err := l.PublishAll(t.Context(), told(&outcomes, tooLarge...))
	if n != 4 || fault.ClassOf(err) != fault.Poison {
		t.Fatalf("%d are stored, %v", n, err)
	}
	if want := append(numbers(33, 36), "37 not"); !slices.Equal(outcomes, want) {
		t.Errorf("told %q of one that is too large, want %q", outcomes, want)
	}
	publishAll(3, nil, changes[37:]...)
	if _, err := s.Connect(t).TakeLane(t.Context(), 0, "test", "b"); err != nil {
		t.Fatal(err)
	}
	late := slices.Clone(changes[:12])
	for n := range late {
		late[n].ResourceVersion = strconv.Itoa(100 + n)
	}
	if got := publishAll(0, bus.ErrFenced, late...); !slices.Equal(got, []string{"100 not"}) {
		t.Errorf("told %q without the lane", got)
	}
	versions, _ := inLane(t, b)
	if want := append(numbers(1, 36), numbers(38, 40)...); !slices.Equal(versions, want) {
		t.Errorf("the lane holds %q, want %q", versions, want)
	}
}

// batchesUnderKills: what is published in batches while the server is killed stands there once
// and in order.
func batchesUnderKills(t *testing.T, s Server) {
	const batches, each = 60, 25
	b := provisioned(t, s)
	l, err := b.TakeLane(t.Context(), 0, "test", "a")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	at := make(chan int, batches)
	go func() {
		defer close(at)
		for n := range batches {
			var items []bus.Item
			for i := range each {
				v := n*each + i
				items = append(items, item(change(fmt.Sprint("web-", i), strconv.Itoa(v+1), strconv.Itoa(v))))
			}
			if _, err := l.PublishAll(t.Context(), items); err != nil {
				done <- err
				return
			}
			at <- n
		}
		done <- nil
	}()
	for n := range at {
		if n%20 == 10 {
			s.Restart(t)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	got, _ := inLane(t, s.Connect(t))
	wantEqual(t, got, numbers(1, batches*each))
}

// numbers are those from one to another, both included.
func numbers(from, to int) (all []string) {
	for n := from; n <= to; n++ {
		all = append(all, strconv.Itoa(n))
	}
	return all
}

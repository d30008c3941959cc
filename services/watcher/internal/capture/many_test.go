package capture

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/kubescribe/kubescribe/shared/event"
)

// TestManyDestinations: a version that is for more destinations than the headers of a message have room
// for is several messages, each for others, of which the last one says that the watch may resume behind it;
// and so is its deletion. A dead letter names some of them.
func TestManyDestinations(t *testing.T) {
	const many, most = 3000, 48 << 10
	var all []event.Destination
	for n := range many {
		all = append(all, destination(fmt.Sprintf("%s-%04d", strings.Repeat("d", 40), n), "shop"))
	}
	bubble(t, func(t *testing.T, s *server, l *lane) {
		r := begin(t, s, l, all...)
		wantAll := func(when string, op event.Op, resume string) {
			t.Helper()
			synctest.Wait()
			has := map[event.DestinationKey]int{}
			changes := l.changes(t)
			for n, c := range changes {
				h, _ := c.Message()
				if length := len(h[event.HeaderTo][0]); length > most {
					t.Errorf("%s message %d names destinations with %d bytes", when, n, length)
				}
				if last := n == len(changes)-1; c.Op != op || (c.Resume == resume) != last {
					t.Errorf("%s message %d of %d is a %s, behind which the watch resumes at %s", when, n, len(changes), c.Op, c.Resume)
				}
				for _, k := range c.To {
					has[k]++
				}
			}
			for _, d := range all {
				if has[d.Key] != 1 {
					t.Fatalf("%s %s has it %d times", when, d.Key, has[d.Key])
				}
			}
		}
		rv := s.put(widget("a", 1))
		wantAll("made,", event.Create, rv)
		rv = s.put(widget("a", 2))
		wantAll("changed,", event.Update, rv)
		rv = s.remove("a")
		wantAll("removed,", event.Delete, rv)
		bad := widget("bad", 1)
		bad.Object["spec"] = map[string]any{"text": "\xff"}
		s.put(bad)
		synctest.Wait()
		if len(l.letters) != 1 {
			t.Fatalf("the dead letters are %v", l.letters)
		}
		for _, m := range l.letters {
			if length := len(m.Header[event.HeaderTo][0]); length == 0 || length > most {
				t.Errorf("the letter names destinations with %d bytes", length)
			}
		}
		r.stop(t)
	})
}

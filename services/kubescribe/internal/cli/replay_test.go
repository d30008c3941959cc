package cli

import (
	"math"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/services/kubescribe/internal/recorded"
	"github.com/kubescribe/kubescribe/services/stream/phase"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
)

func TestParseSpan(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		seq, since string
		want       span
	}{
		{"", "", span{1, math.MaxUint64, time.Time{}}},
		{"7", "", span{7, 7, time.Time{}}},
		{"7..9", "", span{7, 9, time.Time{}}},
		{"7..", "", span{7, math.MaxUint64, time.Time{}}},
		{"..9", "", span{1, 9, time.Time{}}},
		{"", "90m", span{1, math.MaxUint64, now.Add(-90 * time.Minute)}},
		{"", "2026-02-28T12:00:00Z", span{1, math.MaxUint64, now.Add(-24 * time.Hour)}},
	} {
		if got, err := parseSpan(tt.seq, tt.since, now); err != nil || got != tt.want {
			t.Errorf("--seq %q --since %q: %+v, %v", tt.seq, tt.since, got, err)
		}
	}
	for _, bad := range [][2]string{{"1", "1h"}, {"..", ""}, {"0", ""}, {"2..1", ""}, {"1..2..3", ""}, {"-1", ""}, {"x", ""}, {"", "0s"}, {"", "-1h"}, {"", "yesterday"}} {
		if got, err := parseSpan(bad[0], bad[1], now); err == nil {
			t.Errorf("--seq %q --since %q: %+v", bad[0], bad[1], got)
		}
	}
}

func TestSelectionPicks(t *testing.T) {
	k := event.DestinationKey{Cluster: "prod", Namespace: "gitops", Name: "live"}
	e := recorded.Entry{Group: "apps", Resource: "deployments", Namespace: "shop", Name: "web", Destination: k.String()}
	published := e
	published.Destination, published.To = "", []string{"prod/gitops/other", k.String()}
	for _, tt := range []struct {
		selection
		want bool
	}{
		{selection{}, true},
		{selection{resource: "apps/deployments", namespace: "shop", name: "web", key: k}, true},
		{selection{resource: "deployments.apps"}, true},
		{selection{resource: "deployments"}, false},
		{selection{resource: "apps/statefulsets"}, false},
		{selection{namespace: "other"}, false},
		{selection{name: "api"}, false},
		{selection{key: event.DestinationKey{Cluster: "east", Namespace: "gitops", Name: "live"}}, false},
	} {
		typed := tt.resource
		if err := tt.check(); err != nil {
			t.Fatal(err)
		}
		if got := [2]bool{tt.selection.picks(e), tt.selection.picks(published)}; got != [2]bool{tt.want, tt.want} {
			t.Errorf("%q %+v picks it: %v", typed, tt.selection, got)
		}
	}
	for _, bad := range []string{"/", "apps/", "a/b/c", ".apps", "apps/deployments.x"} {
		if err := (&selection{resource: bad}).check(); err == nil {
			t.Errorf("%q is a type", bad)
		}
	}
}

// TestWhatWasSeen: what is left of a stream is said, whatever was found in it.
func TestWhatWasSeen(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var none, one, two seen
	one.add(bus.Message{Seq: 7, Time: at})
	two.add(bus.Message{Seq: 7, Time: at})
	two.add(bus.Message{Seq: 9, Time: at.Add(time.Minute)})
	for want, tt := range map[string]struct {
		seen
		bus.Extent
	}{
		"nothing of the kind is in KS_WRITE, which holds nothing\n":                                           {none, bus.Extent{First: 1}},
		"1 change, 7 (2026-03-01T12:00:00Z) of KS_WRITE, which holds everything since 2026-03-01T12:00:00Z\n": {one, bus.Extent{First: 1, Last: 9, Messages: 9, Oldest: at}},
		"2 changes, 7 (2026-03-01T12:00:00Z) to 9 (2026-03-01T12:01:00Z) of KS_WRITE, which holds 3 of the 9 messages it ever had, the first one 7 of 2026-03-01T12:00:00Z; the others were removed\n": {
			two, bus.Extent{First: 7, Last: 9, Messages: 3, Oldest: at},
		},
	} {
		if got := whatWasSeen("KS_WRITE", tt.seen, tt.Extent); got != want {
			t.Errorf("it says\n%swant\n%s", got, want)
		}
	}
}

func TestTransition(t *testing.T) {
	m := bus.Message{Seq: 7, Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	of := phase.Epoch{Run: "run-1", Attempt: 2}
	for want, st := range map[string]phase.State{
		"LIVE_PROCESSING": {Live: true},
		"STARTUP_RECONCILE: run run-1 attempt 2 waits for MARKs":                           {Epoch: of, Step: phase.Marking, Hold: true},
		"STARTUP_RECONCILE: run run-1 attempt 2 waits for results, changes are held":       {Epoch: of, Step: phase.Waiting, Hold: true},
		"LIVE_PROCESSING: run run-1 attempt 2 writes results":                              {Epoch: of, Step: phase.Applying, Live: true},
		"LIVE_PROCESSING: run run-1 attempt 2 has closed":                                  {Epoch: of, Live: true, Closed: true, Settled: true},
		"LIVE_PROCESSING: run run-1 attempt 2 has closed, and its results are not written": {Epoch: of, Live: true, Closed: true},
		"PARKED: run run-1 attempt 2 was left":                                             {Epoch: of, Parked: true},
	} {
		if got := transition(m, st); got != "2026-03-01T12:00:00Z KS_WRITE 7 "+want {
			t.Errorf("it says %s, want %s", got, want)
		}
	}
}

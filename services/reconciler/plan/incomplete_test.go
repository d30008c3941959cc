package plan

import (
	"slices"
	"testing"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

func TestIncomplete(t *testing.T) {
	ends := map[subject.Side]event.End{
		subject.SideCluster(1): {Incomplete: []string{"compared already"}},
		subject.SideContent(1): {Incomplete: []string{"gadgets.example.org", "configmaps"}},
		subject.SideContent(3): {Incomplete: []string{"services"}},
	}
	compared := []string{"configmaps", "deployments.apps"}
	if got, want := incomplete(compared, ends), []string{"configmaps", "deployments.apps", "gadgets.example.org", "services"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := incomplete(nil, nil); len(got) > 0 {
		t.Errorf("%v without anything", got)
	}
}

// TestSkipped: an outcome names the types of which lanes have skipped contents.
func TestSkipped(t *testing.T) {
	ends := map[subject.Side]event.End{
		subject.SideContent(1): {Skipped: []string{"configmaps", "gadgets.example.org"}},
		subject.SideContent(3): {Skipped: []string{"services"}},
	}
	out := Outcome(event.PhaseRecord{Reason: event.ReasonRequested}, event.Outcome{}, ends, false)
	if want := []string{"configmaps", "gadgets.example.org", "services"}; !slices.Equal(out.Skipped, want) {
		t.Errorf("%v, want %v", out.Skipped, want)
	}
}

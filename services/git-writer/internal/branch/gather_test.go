package branch

import (
	"testing"

	"github.com/kubescribe/kubescribe/services/git-writer/ledger"
	"github.com/kubescribe/kubescribe/shared/event"
)

func TestBatchWait(t *testing.T) {
	var b batch
	add := func(w ledger.Write) { b.Add(w, write{}) }
	add(ledger.Write{Origin: event.Live})
	if b.wait() != bufferWait {
		t.Error("a live change is waited for")
	}
	add(ledger.Write{Origin: event.Reconcile, Path: "y", More: true})
	if b.wait() != moreWait {
		t.Error("the next result is not waited for")
	}
	add(ledger.Write{Origin: event.Reconcile, Path: "z"})
	if b.pending = 1; b.wait() != gatherWait {
		t.Error("what is on its way is not waited for")
	}
}

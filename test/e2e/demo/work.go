package demo

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// workload is what is applied, and by a comment before a document what else is
// done with it: "# delete" deletes it.
//
//go:embed workload.yaml
var workload string

// change is one write to the cluster.
type change struct {
	manifest string
	remove   bool
}

// changes are the documents of the workload, in order.
func changes(text string) []change {
	var all []change
	for document := range strings.SplitSeq(text, "\n---\n") {
		_, remove := strings.CutPrefix(strings.TrimSpace(document), "# delete")
		all = append(all, change{document, remove})
	}
	return all
}

// work makes all changes at a gentle pace and tells of each answer.
func work(ctx context.Context, objects *harness.Objects, l *lander) error {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for _, c := range changes(workload) {
		do := objects.Apply
		if c.remove {
			do = objects.Delete
		}
		bounded, cancel := context.WithTimeout(ctx, stepLimit)
		written, err := do(bounded, c.manifest)
		cancel()
		if err != nil {
			return fmt.Errorf("working in the cluster: %w", err)
		}
		l.answered(written)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

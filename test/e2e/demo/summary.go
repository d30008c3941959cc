package demo

import (
	"slices"
	"time"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// summary says how it went.
func summary(out *printer, took []time.Duration, commits int, c harness.Comparison) {
	slices.Sort(took)
	verdict := "met"
	if harness.Quantile(took, 0.5) > target {
		verdict = "missed"
	}
	out.say("%d changes, each its own commit (%d commits with the import of what was there).", len(took), commits)
	out.say("From the API server's answer to the remote branch: median %s, p90 %s, max %s.",
		round(harness.Quantile(took, 0.5)), round(harness.Quantile(took, 0.9)), round(harness.Quantile(took, 1)))
	out.say("Target for the median on an idle machine: %s, %s.", target, verdict)
	out.say("Git equals the cluster: %d objects, %d files, beside those that are encrypted.", c.Objects, c.Files)
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

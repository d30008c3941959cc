package cli

import (
	"errors"
	"testing"
	"time"

	gitwriter "github.com/kubescribe/kubescribe/services/git-writer"
	"github.com/kubescribe/kubescribe/shared/event"
)

func TestStatusLine(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		branches []gitwriter.Snapshot
		want     string
	}{
		"nothing yet": {[]gitwriter.Snapshot{{}}, "LIVE_PROCESSING  pending 0  no commit yet  next push with the next change"},
		"moving": {
			[]gitwriter.Snapshot{{Pending: 2, Commit: "3f2a9c1d5e", Subject: "Update configmaps shop/web", Pushed: now.Add(-3 * time.Second)}},
			`LIVE_PROCESSING  pending 2  last commit 3f2a9c1d "Update configmaps shop/web" 3s ago  next push with the next change`,
		},
		"started again": {
			[]gitwriter.Snapshot{{Commit: "3f2a9c1d5e"}}, "LIVE_PROCESSING  pending 0  last commit 3f2a9c1d  next push with the next change",
		},
		"retrying": {
			[]gitwriter.Snapshot{{Pending: 19, Why: errors.New("authentication failed"), Next: now.Add(4 * time.Second)}},
			"LIVE_PROCESSING  next push in 4s: authentication failed  pending 19  no commit yet",
		},
		"pushing": {
			[]gitwriter.Snapshot{{Pending: 7, Commit: "3f2a9c1d5e", Pushing: now.Add(-12 * time.Second)}},
			"LIVE_PROCESSING  pending 7  last commit 3f2a9c1d  pushing for 12s",
		},
		"kept apart": {
			[]gitwriter.Snapshot{{Pending: 7, Commit: "3f2a9c1d5e", Next: now.Add(8 * time.Second)}},
			"LIVE_PROCESSING  pending 7  last commit 3f2a9c1d  next push in 8s",
		},
		"in DryRun": {
			[]gitwriter.Snapshot{{DryRun: true}}, "LIVE_PROCESSING  pending 0  no commit yet  nothing is pushed (DryRun)",
		},
		"waiting": {
			[]gitwriter.Snapshot{{Why: errors.New("starting")}}, "LIVE_PROCESSING  waiting: starting  pending 0  no commit yet",
		},
	} {
		if got := statusLine(now, event.LiveProcessing, c.branches); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

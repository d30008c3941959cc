package diff

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"

	"github.com/kubescribe/kubescribe/shared/event"
)

// deletions is the orphans of a run, which the guard decides about together.
type deletions struct {
	count  int
	digest hash.Hash
	paths  []string // the first few
}

func newDeletions() *deletions { return &deletions{digest: sha256.New()} }

func (d *deletions) add(path string) {
	if d.count++; d.count <= pendingShown {
		d.paths = append(d.paths, path)
	}
	_, _ = d.digest.Write([]byte(path + "\n")) // never fails: hash.Hash
}

// withheld is what waits for a person, nil if nothing does: more deletions than
// the destination allows of all resources that either side has, of exactly these
// paths nobody has approved.
func (d *deletions) withheld(cfg Config, resources int) *event.Pending {
	if d.count <= cfg.Prune.MaxFiles || d.count*100 <= cfg.Prune.MaxPercent*resources {
		return nil
	}
	digest := hex.EncodeToString(d.digest.Sum(nil))
	if digest == cfg.Approved {
		return nil
	}
	run := cfg.Run
	if cfg.Previous != nil && cfg.Previous.Digest == digest {
		run = cfg.Previous.Run // a person may have been told that one
	}
	return &event.Pending{Run: run, Count: d.count, Digest: digest, Paths: d.paths}
}

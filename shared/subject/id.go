package subject

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strconv"

	"github.com/kubescribe/kubescribe/shared/event"
)

// ChangeID is the Nats-Msg-Id of a change in KS_EVENTS. Every retry and every
// successor of a watcher derives the same from the same version of an object,
// and A→B→A gives three: the resourceVersion is in it, which is why the bare
// content hash is not the ID (docs/adr/0001). One version may be several changes, each for
// other destinations; one that is published again because of a dead letter is another one.
func ChangeID(c event.Change) string {
	fields := []string{c.ClusterID, c.UID, c.ResourceVersion, string(c.Op), c.Hash, strconv.Itoa(c.Sanitizer)}
	for _, k := range c.To {
		fields = append(fields, k.String())
	}
	if c.Retry != 0 {
		fields = append(fields, strconv.FormatUint(c.Retry, 10))
	}
	return digest(fields...)
}

// MarkID is the Nats-Msg-Id of a MARK in KS_EVENTS.
func MarkID(m event.Mark) string {
	return digest(m.Cluster, strconv.Itoa(m.Part), m.Destination, m.Run, strconv.FormatUint(m.Attempt, 10))
}

// OutputID is the Ks-Id of what a hop makes of one input for one destination.
// It names the message for cursors and people; the compare-and-swap of the hop,
// not a window of IDs, keeps it single.
func OutputID(incarnation string, input uint64, k event.DestinationKey, hash string) string {
	return digest(incarnation, strconv.FormatUint(input, 10), k.String(), hash)
}

// ResultID is the Ks-Id of what a run writes: its barrier is number 0, its results
// count from 1.
func ResultID(k event.DestinationKey, run string, attempt uint64, n int) string {
	return digest(k.String(), run, strconv.FormatUint(attempt, 10), strconv.Itoa(n))
}

// BranchKey is the key of a writer shard: one canonical remote URL and branch.
func BranchKey(canonicalURL, branch string) string {
	sum := sha256.Sum256([]byte(canonicalURL + "\n" + branch))
	return hex.EncodeToString(sum[:8])
}

// digest hashes fields so that no two lists of fields run into each other.
func digest(fields ...string) string {
	h := sha256.New()
	for _, f := range fields {
		_, _ = h.Write([]byte(strconv.Itoa(len(f)) + ":" + f)) // never fails: hash.Hash
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}

package subject

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/kubescribe/kubescribe/shared/event"
)

// Side is who says what in an attempt at a run.
type Side string

// The sides that are one for a run: the repository's state, and what closes the
// run's results.
const (
	SideRepo Side = "repo"
	SideRun  Side = "run"
)

// SideCluster is a lane's state of the cluster.
func SideCluster(part int) Side { return side("cluster", part) }

// SideResult is what the comparison found of a lane's types.
func SideResult(part int) Side { return side("result", part) }

// SideContent is the contents that a lane answers to its results.
func SideContent(part int) Side { return side("content", part) }

func side(word string, part int) Side { return Side(word + "-" + strconv.Itoa(part)) }

// Series names the messages of KS_SNAP that one side of an attempt at a run says.
type Series struct {
	Destination event.DestinationKey
	Run         string
	Attempt     uint64
	Side        Side
}

// Chunk is where chunk n of one of those who answer is stored.
func (s Series) Chunk(nonce string, n int) string {
	return join(s.prefix(), Token(nonce), strconv.Itoa(n))
}

// Chunks selects all chunks of one of those who answer.
func (s Series) Chunks(nonce string) string { return join(s.prefix(), Token(nonce), "*") }

// End is where the series is closed: one message, so the first one counts.
func (s Series) End() string { return join(s.prefix(), "end") }

func (s Series) prefix() string {
	return join("ks.snap", destination(s.Destination), Token(s.Run), strconv.FormatUint(s.Attempt, 10), Token(string(s.Side)))
}

// SnapDestination selects all series of a destination.
func SnapDestination(k event.DestinationKey) string { return join("ks.snap", destination(k), ">") }

// SnapRun selects all series of a run.
func SnapRun(k event.DestinationKey, run string) string {
	return join("ks.snap", destination(k), Token(run), ">")
}

// SnapEnds selects the ends of all series.
const SnapEnds = "ks.snap.*.*.*.*.*.*.end"

// SnapRunEnds selects what closes the results of runs.
const SnapRunEnds = "ks.snap.*.*.*.*.*." + string(SideRun) + ".end"

// ParseSnapEnd is the reverse of [Series.End].
func ParseSnapEnd(s string) (Series, error) {
	t := strings.Split(s, ".")
	bad := fmt.Errorf("%w: %q", ErrSubject, s)
	if len(t) != 9 {
		return Series{}, bad
	}
	k, err := parseDestination(strings.Join(t[2:5], "."), 0)
	if err != nil {
		return Series{}, err
	}
	series := Series{Destination: k}
	if series.Run, err = ParseToken(t[5]); err != nil {
		return Series{}, bad
	}
	if series.Attempt, err = strconv.ParseUint(t[6], 10, 64); err != nil {
		return Series{}, bad
	}
	word, err := ParseToken(t[7])
	if series.Side = Side(word); err != nil || series.End() != s {
		return Series{}, bad
	}
	return series, nil
}

package cli

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubescribe/kubescribe/services/kubescribe/internal/recorded"
	"github.com/kubescribe/kubescribe/shared/event"
)

// selection is what a person wants to see of the bus.
type selection struct {
	destination               string // as it was typed
	resource, namespace, name string

	key   event.DestinationKey // zero: any
	group string               // of the resource
}

func (s *selection) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.destination, "destination", "", "`name` of a destination, as much of cluster/namespace/name as says which")
	cmd.Flags().StringVar(&s.resource, "resource", "", "`type`, as in apps/deployments, deployments.apps or configmaps")
	cmd.Flags().StringVarP(&s.namespace, "namespace", "n", "", "`namespace` of objects")
	cmd.Flags().StringVar(&s.name, "name", "", "`name` of objects")
}

// check refuses what names no type, and takes its group apart.
func (s *selection) check() error {
	group, resource, slash := strings.Cut(s.resource, "/")
	if !slash {
		resource, group, _ = strings.Cut(s.resource, ".")
	}
	if s.resource != "" && (resource == "" || strings.ContainsAny(resource, "/.") || strings.Contains(group, "/")) {
		return usage("--resource %s: write GROUP/RESOURCE, as in apps/deployments, or RESOURCE of the core group, in the plural", s.resource)
	}
	s.group, s.resource = group, resource
	return nil
}

// picks is whether an entry is of what was selected.
func (s *selection) picks(e recorded.Entry) bool {
	switch {
	case s.key != (event.DestinationKey{}) && e.Destination != s.key.String() && !slices.Contains(e.To, s.key.String()):
		return false
	case s.resource != "" && (e.Resource != s.resource || e.Group != s.group):
		return false
	case s.namespace != "" && e.Namespace != s.namespace:
		return false
	}
	return s.name == "" || e.Name == s.name
}

// span is a range of a stream: sequences, or what was stored since a time.
type span struct {
	from, to uint64
	since    time.Time // zero: from says it
}

// parseSpan reads --seq and --since, of which one may be given.
func parseSpan(seq, since string, now time.Time) (span, error) {
	s := span{from: 1, to: math.MaxUint64}
	if seq != "" && since != "" {
		return s, usage("--seq and --since exclude each other")
	}
	if since != "" {
		d, err := time.ParseDuration(since)
		if err == nil && d > 0 {
			s.since = now.Add(-d)
			return s, nil
		}
		if s.since, err = time.Parse(time.RFC3339Nano, since); err != nil {
			return s, usage("--since %s: write how long ago, as in 2h or 90s, or a time as in 2006-01-02T15:04:05Z", since)
		}
		return s, nil
	}
	if seq == "" {
		return s, nil
	}
	first, last, several := strings.Cut(seq, "..")
	if !several {
		last = first
	}
	var errs [2]error
	if first != "" {
		s.from, errs[0] = strconv.ParseUint(first, 10, 64)
	}
	if last != "" {
		s.to, errs[1] = strconv.ParseUint(last, 10, 64)
	}
	if errs[0] != nil || errs[1] != nil || s.from == 0 || s.to < s.from || seq == ".." {
		return s, usage("--seq %s: write FIRST..LAST, FIRST.., ..LAST or one sequence", seq)
	}
	return s, nil
}

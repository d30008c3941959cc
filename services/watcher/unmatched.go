package watcher

import (
	"maps"
	"slices"

	"github.com/kubescribe/kubescribe/services/watcher/internal/discover"
	"github.com/kubescribe/kubescribe/services/watcher/internal/unmatched"
)

// noteTypes keeps what rules name and is not served.
func (s *session) noteTypes(found discover.Found) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unserved = unmatched.Types(s.destinations, found, s.unserved)
	s.elsewhere = s.others(found)
}

// others are the types that other watchers follow: what is there of them is not seen here.
func (s *session) others(found discover.Found) (all []unmatched.Followed) {
	for _, t := range found.Types {
		if s.lanes[s.part(t)] != nil {
			continue
		}
		for _, ns := range s.namespacesOf(t) {
			all = append(all, unmatched.Followed{Type: t, Namespace: ns})
		}
	}
	return all
}

// remarks are on what rules select nothing by, by their documents; ok is whether that is known
// yet.
func (s *session) remarks() (all map[string][]unmatched.Remark, ok bool) {
	select {
	case <-s.known:
	default:
		return nil, false
	}
	s.mu.Lock()
	all = map[string][]unmatched.Remark{}
	for of, some := range s.unserved {
		all[of] = slices.Clone(some)
	}
	workers := slices.Collect(maps.Values(s.workers))
	followed := slices.Clone(s.elsewhere)
	s.mu.Unlock()
	for _, r := range workers {
		exact, refused := r.State()
		followed = append(followed, unmatched.Followed{Type: r.typ, Namespace: r.namespace, Exact: exact && !r.ended(), Refused: refused})
	}
	for of, some := range s.patterns.Remarks(followed) {
		all[of] = append(all[of], some...)
	}
	return all, true
}

package documents

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubescribe/kubescribe/services/watcher/internal/unmatched"
	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/event"
)

// Verdict is what has come of documents, as they were when they were looked at. The zero value
// is of none.
type Verdict struct {
	Refused   []v1alpha1.Refused            // those that are not taken
	Unmatched map[string][]unmatched.Remark // what rules select nothing by, by their names
	Withheld  map[string]event.Withheld     // from which destinations, by their names, what is sensitive is withheld
	judged    map[types.UID]int64           // the generation of each
}

// Judge is a verdict that takes all documents.
func Judge(all *v1alpha1.Documents) Verdict {
	v := Verdict{judged: map[types.UID]int64{}}
	note := func(m *metav1.ObjectMeta) { v.judged[m.UID] = m.Generation }
	for i := range all.GitRemotes {
		note(&all.GitRemotes[i].ObjectMeta)
	}
	for i := range all.GitDestinations {
		note(&all.GitDestinations[i].ObjectMeta)
	}
	for i := range all.WatchRules {
		note(&all.WatchRules[i].ObjectMeta)
	}
	for i := range all.ClusterWatchRules {
		note(&all.ClusterWatchRules[i].ObjectMeta)
	}
	return v
}

// knows reports whether it is on this generation of a document.
func (v Verdict) knows(o metav1.Object) bool {
	generation, ok := v.judged[o.GetUID()]
	return ok && generation == o.GetGeneration()
}

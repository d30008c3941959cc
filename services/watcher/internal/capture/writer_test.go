package capture

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubescribe/kubescribe/shared/event"
)

func TestLastWrite(t *testing.T) {
	at := func(minute int) string {
		return time.Date(2026, 3, 14, 15, minute, 0, 0, time.UTC).Format(time.RFC3339)
	}
	field := func(manager, subresource string, minute int) map[string]any {
		f := map[string]any{"manager": manager, "operation": "Update", "apiVersion": "v1", "time": at(minute)}
		if subresource != "" {
			f["subresource"] = subresource
		}
		return f
	}
	untimed := field("autoscaler", "scale", 0)
	delete(untimed, "time")
	for _, tt := range []struct {
		name    string
		fields  []any
		manager string
		minute  int
	}{
		{"nothing known", nil, "", 0},
		{"one", []any{field("kubectl", "", 5)}, "kubectl", 5},
		{"the newest", []any{field("helm", "", 9), field("kubectl", "", 5)}, "helm", 9},
		{"not the status", []any{field("kubectl", "", 5), field("controller", "status", 9)}, "kubectl", 5},
		{"nor the scale, which has no time", []any{field("kubectl", "", 5), untimed}, "kubectl", 5},
		{"an ignored one, later", []any{field("kubectl", "", 5), field("robot", "", 9)}, "robot", 9}, // it took something over
		{"an ignored one, in the same second", []any{field("kubectl", "", 5), field("robot", "", 5)}, "kubectl", 5},
		{"in any order", []any{field("injector", "", 5), field("kubectl", "", 5), field("robot", "", 5)}, "kubectl", 5},
		{"ignored ones alone", []any{field("injector", "", 5), field("robot", "", 5)}, "robot", 5},
		{"in the same second as an older one", []any{field("kubectl", "", 5), field("helm", "", 9), field("robot", "", 9)}, "helm", 9},
		{"a reaction in the same second", []any{field("kubectl", "", 5), field("operator", "", 5)}, "operator", 5},
		{"the status alone", []any{field("controller", "status", 9)}, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := widget("a", 1)
			meta := o.Object["metadata"].(map[string]any)
			meta["creationTimestamp"] = at(0)
			meta["managedFields"] = tt.fields
			when, manager := lastWrite(o, []string{"robot", "injector"})
			if manager != tt.manager || !when.Equal(time.Date(2026, 3, 14, 15, tt.minute, 0, 0, time.UTC)) {
				t.Errorf("written by %q at %s", manager, when)
			}
		})
	}
}

// fleet is a widget that can be scaled, as the API server notes who wrote it: the replicas are
// the autoscaler's if it is scaled, and the rest is the person's, at a second of a minute long ago.
func fleet(size, replicas int64, second int, person string, isScaled bool) *unstructured.Unstructured {
	o := widget("a", size)
	o.Object["spec"].(map[string]any)["replicas"] = replicas
	wrote := time.Date(1999, 12, 31, 15, 0, second, 0, time.UTC).Format(time.RFC3339)
	spec := map[string]any{"f:size": map[string]any{}, "f:replicas": map[string]any{}}
	by := []any{map[string]any{
		"manager": person, "operation": "Update", "apiVersion": "example.com/v1", "time": wrote, "fieldsType": "FieldsV1",
		"fieldsV1": map[string]any{"f:spec": spec},
	}}
	if isScaled {
		delete(spec, "f:replicas")
		by = append(by, map[string]any{
			"manager": "autoscaler", "operation": "Update", "apiVersion": "example.com/v1", "subresource": "scale", "fieldsType": "FieldsV1",
			"fieldsV1": map[string]any{"f:spec": map[string]any{"f:replicas": map[string]any{}}},
		})
	}
	meta := o.Object["metadata"].(map[string]any)
	meta["managedFields"] = by
	meta["creationTimestamp"] = time.Date(1999, 12, 31, 15, 0, 0, 0, time.UTC).Format(time.RFC3339)
	return o
}

// TestScaled: what differs from the version before in its replicas alone is the scaler's, however
// late it is heard of; anything else is whose it was, though somebody scaled it once.
func TestScaled(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		said := func(when string, want ...string) {
			t.Helper()
			synctest.Wait()
			var got []string
			for _, c := range l.changes(t) {
				line := fmt.Sprintf("%s by %s", c.ResourceVersion, c.FieldManager)
				wrote := time.Date(1999, 12, 31, 15, 0, 59, 0, time.UTC)
				if noted := c.FieldManager != "autoscaler" && c.Op != event.Delete; noted == c.Time.After(wrote) {
					line += " at " + c.Time.String()
				}
				got = append(got, line)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s there is %q, want %q", when, got, want)
			}
		}
		s.put(fleet(1, 1, 1, "ada", false))
		r := begin(t, s, l)
		s.put(fleet(1, 2, 1, "ada", true))
		said("first scaled", "102 by autoscaler")
		s.put(fleet(1, 3, 1, "ada", true))
		said("scaled again", "103 by autoscaler")
		s.put(fleet(2, 3, 5, "bob", true))
		said("written", "104 by bob")
		s.put(fleet(3, 3, 5, "bob", true))
		said("written in the same second", "105 by bob")
		status := fleet(3, 3, 5, "bob", true)
		status.Object["status"] = map[string]any{"replicas": int64(3)}
		s.put(status)
		s.put(fleet(3, 4, 5, "bob", true))
		said("scaled behind a status", "107 by autoscaler")
		gone := fleet(3, 4, 5, "bob", true)
		unstructured.RemoveNestedField(gone.Object, "spec", "size")
		s.put(gone)
		said("a field taken out", "108 by bob")
		s.put(fleet(3, 9, 7, "eve", false))
		said("scaled by hand", "109 by eve")
		s.put(fleet(3, 8, 7, "eve", true))
		said("and by the scaler", "110 by autoscaler")
		s.put(fleet(3, 8, 9, "ada", true)) // of what stands in Git, nothing
		s.put(fleet(3, 7, 9, "ada", true))
		said("scaled behind what changed nothing", "112 by autoscaler")
		s.remove("a")
		s.put(fleet(3, 6, 9, "ada", true))
		said("made again", "113 by ", "114 by ada")
		r.stop(t)

		s.put(fleet(4, 6, 11, "bob", true))
		s.put(fleet(4, 5, 11, "bob", true))
		r = begin(t, s, l)
		said("written before a restart", "115 by bob", "116 by bob")
		advance(2 * catchUpLength)
		s.put(fleet(4, 4, 11, "bob", true))
		said("scaled, once that is known", "117 by autoscaler")
		s.partition()
		s.put(fleet(5, 3, 13, "eve", true))
		s.restart()
		advance(time.Minute)
		said("written and scaled in a gap", "118 by eve")
		s.partition()
		s.put(fleet(5, 2, 13, "eve", true))
		s.restart()
		advance(time.Minute)
		said("scaled in a gap", "120 by autoscaler")
		r.stop(t)
	})
}

// TestWriterByDestination: whom one destination ignores is who wrote it to another, that has
// what he wrote.
func TestWriterByDestination(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		r := begin(t, s, l, selecting("all", "", event.Policy{}), selecting("some", "", event.Policy{IgnoreManagers: []string{"robot"}}))
		o := fleet(1, 1, 1, "ada", false)
		meta := o.Object["metadata"].(map[string]any)
		meta["labels"] = map[string]any{"team": "red"}
		by := fleet(1, 1, 1, "robot", false).GetManagedFields()
		ada := fleet(1, 1, 1, "ada", false).GetManagedFields()
		ada[0].FieldsV1.SetRawString(`{"f:metadata":{"f:labels":{"f:team":{}}}}`)
		o.SetManagedFields(append(ada, by...))
		s.put(o)
		synctest.Wait()
		got := map[string]string{}
		for _, c := range l.changes(t) {
			for _, k := range c.To {
				got[k.Name] = c.FieldManager
			}
		}
		if len(got) != 2 || got["all"] != "robot" || got["some"] != "ada" {
			t.Errorf("it is written by %q", got)
		}
		r.stop(t)
	})
}

// TestScaledTime: a clock that is behind the API server's gives no change an earlier time.
func TestScaledTime(t *testing.T) {
	o := fleet(1, 2, 30, "ada", true)
	w := New(Config{Cluster: "prod", Selection: selectionOf(t, live)})
	when := time.Date(1999, 12, 31, 15, 0, 30, 0, time.UTC)
	for now, want := range map[time.Time]time.Time{when.Add(-time.Hour): when, when.Add(time.Hour): when.Add(time.Hour)} {
		c, is := event.Change{Time: when}, w.renderAll(o)
		if scaled(&c, o, is.Entry, is, now); c.FieldManager != "autoscaler" || !c.Time.Equal(want) {
			t.Errorf("at %s it is written by %q at %s", now, c.FieldManager, c.Time)
		}
	}
}

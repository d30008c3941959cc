package capture

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestPageSize: a page is as many objects as the one before lets expect to be of
// a size that can be held.
func TestPageSize(t *testing.T) {
	for name, test := range map[string]struct {
		bytes int // of each object
		want  []int64
	}{
		"small":  {100, []int64{50, 500, 500}},
		"medium": {64 << 10, []int64{50, 63, 63}},
		"big":    {1 << 20, []int64{50, 3, 3}},
		"huge":   {8 << 20, []int64{50, 1, 1}}, // more than an API server takes
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server, l *lane) {
				text := strings.Repeat("x", test.bytes)
				for n := range 5 {
					o := widget(fmt.Sprint("w", n), 1)
					o.SetAnnotations(map[string]string{"text": text})
					s.put(o)
				}
				var limits []int64
				s.refuse(func(opts metav1.ListOptions) error {
					limits = append(limits, opts.Limit)
					return nil
				}, nil)
				r := begin(t, s, l)
				if !slices.Equal(limits, test.want) {
					t.Errorf("it asked for pages of %d, want %d", limits, test.want)
				}
				r.stop(t)
			})
		})
	}
	if got := pageLimit([]unstructured.Unstructured{}, 77); got != 77 {
		t.Errorf("after an empty page it asks for %d", got)
	}
}

// TestWeigh: the weight of an object is near its size.
func TestWeigh(t *testing.T) {
	o := widget("a", 1)
	o.SetLabels(map[string]string{"app": "shop", "tier": "front"})
	o.SetFinalizers([]string{"example.com/one", "example.com/two"})
	text, err := json.Marshal(o.Object)
	if err != nil {
		t.Fatal(err)
	}
	if got, size := weigh(o.Object), len(text); got < size*3/4 || got > size*3/2 {
		t.Errorf("an object of %d bytes weighs %d", size, got)
	}
}

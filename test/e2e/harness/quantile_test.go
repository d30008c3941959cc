package harness

import (
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	ms := func(n ...int) (all []time.Duration) {
		for _, v := range n {
			all = append(all, time.Duration(v)*time.Millisecond)
		}
		return all
	}
	for _, test := range []struct {
		of   []time.Duration
		q    float64
		want int
	}{
		{nil, 0.5, 0},
		{ms(7), 0.5, 7},
		{ms(1, 2, 3, 4), 0.5, 2},
		{ms(1, 2, 3, 4, 5), 0.5, 3},
		{ms(1, 2, 3, 4, 5, 6, 7, 8, 9, 10), 0.9, 9},
		{ms(1, 2, 3), 1, 3},
	} {
		if got := Quantile(test.of, test.q); got != time.Duration(test.want)*time.Millisecond {
			t.Errorf("quantile %v of %v: %v, want %d ms", test.q, test.of, got, test.want)
		}
	}
}

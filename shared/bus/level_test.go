package bus

import "testing"

// TestQuota: who cannot move may hold anything while there is room, a quarter once there is
// none, and the less the fuller the stream gets.
func TestQuota(t *testing.T) {
	const limit = 1000
	for bytes, want := range map[uint64]uint64{800: 250, 850: 125, 875: 62, 900: 0, 1000: 0} {
		l := Level{Bytes: bytes, Limit: limit}
		got, limited := l.Quota()
		if diff := int(got) - int(want); !limited || diff < -1 || diff > 1 {
			t.Errorf("at %d of %d it is %d, %t, want %d", bytes, limit, got, limited, want)
		}
		if l.Full() != (bytes >= 900) {
			t.Errorf("at %d of %d full is %t", bytes, limit, l.Full())
		}
	}
	for _, l := range []Level{{Bytes: 799, Limit: limit}, {Bytes: 5}, {}} {
		if got, limited := l.Quota(); limited || l.Full() {
			t.Errorf("%+v has a quota of %d", l, got)
		}
	}
}

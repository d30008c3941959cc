package kubescribe

import (
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/service"
)

// TestStopsWithinTheLimit: even if every role takes all the time it may, there is
// time left to close the bus in order.
func TestStopsWithinTheLimit(t *testing.T) {
	admin, _, err := service.Admin("127.0.0.1:0", service.NewRegistry(), nil)
	if err != nil {
		t.Fatal(err)
	}
	all := admin.StopWithin
	for _, r := range roles {
		if r.stopWithin <= 0 {
			t.Errorf("%s has no bound", r.name)
		}
		all += r.stopWithin
	}
	if all > service.StopLimit-time.Second {
		t.Errorf("together the roles may take %s of %s", all, service.StopLimit)
	}
}

package integration

import (
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// TestOlderInstall: one that was made before there was a bucket is said to be, and what is
// missing is added when it is provisioned again; the rest stays as it is.
func TestOlderInstall(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	if _, err := mustBucket[event.Status](in, subject.BucketStatus).Put(t.Context(), "k", event.Status{V: 1, Position: 2}, 0); err != nil {
		t.Fatal(err)
	}
	if err := in.js.DeleteKeyValue(t.Context(), subject.BucketCredential); err != nil {
		t.Fatal(err)
	}
	err := in.bus.Verify(t.Context())
	if err == nil || !strings.Contains(err.Error(), subject.BucketCredential) || !strings.Contains(err.Error(), "provision it again") {
		t.Errorf("it is verified with %v", err)
	}
	before := in.bus.Install
	s, err := in.js.Stream(t.Context(), subject.Snap)
	if err != nil {
		t.Fatal(err)
	}
	raised := s.CachedInfo().Config
	raised.MaxBytes *= 2
	if _, err := in.js.UpdateStream(t.Context(), raised); err != nil {
		t.Fatal(err)
	}
	if err := in.bus.Provision(t.Context(), bus.Options{}); err != nil {
		t.Fatal(err)
	}
	if info, err := s.Info(t.Context()); err != nil || info.Config.MaxBytes != raised.MaxBytes || info.Config.Replicas != 1 {
		t.Errorf("the limit that was raised to %d is %+v, %v", raised.MaxBytes, info.Config, err)
	}
	if err := in.bus.Verify(t.Context()); err != nil || in.bus.Install != before {
		t.Errorf("then with %v; it is install %v, and was %v", err, in.bus.Install, before)
	}
	if got, _, err := mustBucket[event.Status](in, subject.BucketStatus).Newest(t.Context(), "k"); err != nil || got.Position != 2 {
		t.Errorf("what was there is %+v, %v", got, err)
	}
}

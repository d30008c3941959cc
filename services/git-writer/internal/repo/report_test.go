package repo

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/gittest"
)

// answerReport is an answer to a push, of those lines.
func answerReport(w http.ResponseWriter, lines ...string) {
	var report strings.Builder
	for _, line := range lines {
		_, _ = fmt.Fprintf(&report, "%04x%s\n", len(line)+5, line)
	}
	report.WriteString("0000")
	_, _ = fmt.Fprintf(w, "%04x\x01%s0000", report.Len()+5, report.String())
}

// A report that does not say that this branch was moved leaves that open: the
// branch is read.
func TestReportOfAnotherBranch(t *testing.T) {
	for name, lines := range map[string][]string{
		"of none":    {"unpack ok"},
		"of another": {"unpack ok", "ok refs/heads/main2"},
	} {
		for _, lands := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, landed %v", name, lands), func(t *testing.T) {
				r := newRemoteRepo(t, gittest.Options{})
				r.foreign("main", "start", map[string]string{"x.yaml": "1"})
				b := r.fetched()
				put(t, b, 1, "a.yaml", "1")
				r.meddle(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
					if !isPush(req) {
						next.ServeHTTP(w, req)
						return
					}
					if lands {
						next.ServeHTTP(httptest.NewRecorder(), req)
					}
					answerReport(w, lines...)
				})
				res, err := b.Push(t.Context())
				if lands {
					if err != nil || res.Landed != 1 || waiting(b) != 0 {
						t.Errorf("result %+v, %v, %d pending", res, err, waiting(b))
					}
					return
				}
				if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "says nothing of refs/heads/main") || res.Landed != 0 || waiting(b) != 1 {
					t.Errorf("result %+v, %v, %d pending", res, err, waiting(b))
				}
				r.meddle(nil)
				push(t, b)
				equal(t, "log", r.subjects("main"), []string{"Create a.yaml", "start"})
			})
		}
	}
}

// TestReportEchoesCredentials: nor does a report get them into an error.
func TestReportEchoesCredentials(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	b := r.fetched(withAuth("writer", password))
	put(t, b, 1, "a.yaml", "1")
	r.meddle(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		if !isPush(req) {
			next.ServeHTTP(w, req)
			return
		}
		answerReport(w, "unpack ok", "ng refs/heads/main not with "+password)
	})
	_, err := b.Push(t.Context())
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "not with ***") {
		t.Errorf("error %v", err)
	}
	checkNoSecret(t, err, password)
}

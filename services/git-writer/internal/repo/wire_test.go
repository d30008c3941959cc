package repo

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/gittest"
)

func TestRetryAfter(t *testing.T) {
	now := time.Now()
	date := func(d time.Duration) string { return now.Add(d).UTC().Format(http.TimeFormat) }
	for value, want := range map[string]struct{ least, most time.Duration }{
		"":                           {0, 0},
		"soon":                       {0, 0},
		"7":                          {7 * time.Second, 7 * time.Second},
		"-7":                         {0, 0},
		"3600":                       {time.Hour, time.Hour},
		"31536000":                   {time.Hour, time.Hour},
		"9223372037":                 {time.Hour, time.Hour}, // more nanoseconds than there are
		"18446744073":                {time.Hour, time.Hour}, // the same, and once around
		"99999999999999999999999999": {time.Hour, time.Hour},
		"-9999999999999999999999999": {0, 0},
		date(-time.Hour):             {0, 0},
		date(30 * time.Minute):       {28 * time.Minute, 30 * time.Minute},
		date(9000 * time.Hour):       {time.Hour, time.Hour},
	} {
		if got := retryAfter(value); got < want.least || got > want.most {
			t.Errorf("%q: %v", value, got)
		}
	}
}

// A web page of a server or a proxy is for browsers: it is not repeated, and no
// error is more than a line.
func TestWebPages(t *testing.T) {
	const page = "<html>\n<head><title>Bad Gateway</title></head>\n<body>nginx</body>\n</html>\n"
	for _, test := range []struct {
		status     int
		kind, body string
		want       error
		says       string // how the error ends
	}{
		{401, "text/html; charset=utf-8", page, ErrAuth, ": 401 Unauthorized"},
		{403, "text/html", page, ErrForbidden, ": 403 Forbidden"},
		{404, "application/json", `{"a":"nginx"}`, ErrNotFound, ": 404 Not Found"},
		{502, "text/html", page, ErrUnreachable, ": 502 Bad Gateway"},
		{599, "text/html", page, ErrUnreachable, ": 599"},
		{401, "text/plain; charset=utf-8", "no\r\n\r\ntoken\n", ErrAuth, ": 401 Unauthorized: no | token"},
		{403, "application/x-git-upload-pack-result", "not yours", ErrForbidden, ": 403 Forbidden: not yours"},
		{200, "text/html", page, ErrUnreachable, "a web page came where Git's answer should be: check the URL, and what stands between here and the server"},
	} {
		t.Run(fmt.Sprint(test.status, test.kind), func(t *testing.T) {
			r := newRemoteRepo(t, gittest.Options{})
			b := r.fetched()
			put(t, b, 1, "a.yaml", "1")
			packs := false // only pushes are meddled with, else everything
			r.meddle(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
				if packs && !isPush(req) {
					next.ServeHTTP(w, req)
					return
				}
				w.Header().Set("Content-Type", test.kind)
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			})
			_, fetching := r.branch().Fetch(t.Context())
			_, asking := b.Push(t.Context())
			packs = true
			_, pushing := b.Push(t.Context())
			for doing, err := range map[string]error{"fetching": fetching, "asking": asking, "pushing": pushing} {
				if !errors.Is(err, test.want) || !strings.HasSuffix(err.Error(), test.says) {
					t.Errorf("%s: %v", doing, err)
				}
				if text := allErrors(err); strings.Contains(text, "nginx") || strings.Contains(err.Error(), "\n") {
					t.Errorf("%s: %s", doing, text)
				}
			}
		})
	}
}

package capture

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
)

const (
	// pageBytes is about how much JSON a page is to hold: whole objects are in
	// memory at once, and one may have more than a MiB. How many they may be is
	// told by the average of the page before, so a page after one of small objects
	// can hold more: the limit of the API is on how many they are, not on bytes.
	pageBytes = 4 << 20
	// firstPage is how many objects are asked for while nothing is known of them.
	firstPage = 50
	// maxPage is as many as kubectl asks for.
	maxPage = 500
	// listAttempts is how often a list is begun again because the API server
	// dropped the version it was being read at.
	listAttempts = 5
	// pageWait bounds the request for one page: an API server ends it after a
	// minute, but a proxy, or a server that hangs, may be silent for ever.
	pageWait = 2 * time.Minute
)

// list reads all objects of the type at one version, page by page, and returns
// that version. begin is called before the first page, and again when the list
// has to begin anew.
func (w *Worker) list(ctx context.Context, client dynamic.ResourceInterface, begin func(), each func(*unstructured.Unstructured) error) (version string, err error) {
	for range listAttempts {
		begin()
		if version, err = w.pages(ctx, client, metav1.ListOptions{}, each); !apierrors.IsResourceExpired(err) {
			return version, err
		}
	}
	return "", err
}

// listAsOf is list at a version, or, where the API server does not have that any
// more, at the newest.
func (w *Worker) listAsOf(ctx context.Context, version string, begin func(), each func(*unstructured.Unstructured) error) (string, error) {
	begin()
	at, err := w.pages(ctx, w.Client, metav1.ListOptions{ResourceVersion: version, ResourceVersionMatch: metav1.ResourceVersionMatchExact}, each)
	if err == nil || Refused(err) || ctx.Err() != nil {
		return at, err
	}
	return w.list(ctx, w.Client, begin, each)
}

func (w *Worker) pages(ctx context.Context, client dynamic.ResourceInterface, opts metav1.ListOptions, each func(*unstructured.Unstructured) error) (string, error) {
	opts.Limit = firstPage
	for {
		page, err := page(ctx, client, opts)
		if err != nil {
			return "", fmt.Errorf("listing %s: %w", w.name(), err)
		}
		opts.Limit = pageLimit(page.Items, opts.Limit)
		for i := range page.Items {
			if err := each(&page.Items[i]); err != nil {
				return "", err
			}
		}
		opts.ResourceVersion, opts.ResourceVersionMatch = "", "" // the token says it
		if opts.Continue = page.GetContinue(); opts.Continue != "" {
			continue
		}
		if page.GetResourceVersion() == "" {
			return "", fmt.Errorf("listing %s: the API server gave the list no version to watch from", w.name())
		}
		return page.GetResourceVersion(), nil
	}
}

func page(ctx context.Context, client dynamic.ResourceInterface, opts metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	ctx, cancel := context.WithTimeout(ctx, pageWait)
	defer cancel()
	return client.List(ctx, opts)
}

// pageLimit is how many objects the next page may hold, after a page that was
// asked for with another limit.
func pageLimit(page []unstructured.Unstructured, limit int64) int64 {
	total := 0
	for _, o := range page {
		total += weigh(o.Object)
	}
	if total == 0 {
		return limit
	}
	return min(max(int64(pageBytes*len(page)/total), 1), maxPage)
}

// weigh is about how many bytes of JSON a value is.
func weigh(value any) int {
	const other = 4 // numbers, booleans, and what stands around anything
	n := other
	switch v := value.(type) {
	case string:
		n += len(v)
	case []any:
		for _, e := range v {
			n += weigh(e)
		}
	case map[string]any:
		for key, e := range v {
			n += len(key) + other + weigh(e)
		}
	}
	return n
}

package capture

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	// pageSize bounds how many whole objects are in memory at once.
	pageSize = 500
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
func (w *Worker) list(ctx context.Context, begin func(), each func(*unstructured.Unstructured) error) (version string, err error) {
	for range listAttempts {
		begin()
		if version, err = w.pages(ctx, each); !apierrors.IsResourceExpired(err) {
			return version, err
		}
	}
	return "", err
}

func (w *Worker) pages(ctx context.Context, each func(*unstructured.Unstructured) error) (string, error) {
	opts := metav1.ListOptions{Limit: pageSize}
	for {
		page, err := w.page(ctx, opts)
		if err != nil {
			return "", fmt.Errorf("listing %s: %w", w.name(), err)
		}
		for i := range page.Items {
			if err := each(&page.Items[i]); err != nil {
				return "", err
			}
		}
		if opts.Continue = page.GetContinue(); opts.Continue != "" {
			continue
		}
		if page.GetResourceVersion() == "" {
			return "", fmt.Errorf("listing %s: the API server gave the list no version to watch from", w.name())
		}
		return page.GetResourceVersion(), nil
	}
}

func (w *Worker) page(ctx context.Context, opts metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	ctx, cancel := context.WithTimeout(ctx, pageWait)
	defer cancel()
	return w.Client.List(ctx, opts)
}

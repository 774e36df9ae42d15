package controller

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
	metricsclient "k8s.io/metrics/pkg/client/clientset/versioned"
	"k8s.io/metrics/pkg/client/custom_metrics"
	"k8s.io/metrics/pkg/client/external_metrics"
)

// resourceMetrics is metrics.k8s.io.
type resourceMetrics struct{ client metricsclient.Interface }

func (r resourceMetrics) pods(ctx context.Context, page string) (*metricsv1beta1.PodMetricsList, error) {
	return r.client.MetricsV1beta1().PodMetricses("").List(ctx, metav1.ListOptions{Limit: usePage, Continue: page})
}

func (r resourceMetrics) nodes(ctx context.Context, page string) (*metricsv1beta1.NodeMetricsList, error) {
	return r.client.MetricsV1beta1().NodeMetricses().List(ctx, metav1.ListOptions{Limit: usePage, Continue: page})
}

// metricsAPIs is custom.metrics.k8s.io and external.metrics.k8s.io.
type metricsAPIs struct {
	custom   custom_metrics.CustomMetricsClient
	external external_metrics.ExternalMetricsClient
}

// newMeasuring makes the clients of the three metrics APIs. Whether they are there shows when they are asked.
func newMeasuring(config *rest.Config) (useSource, metricSource, error) {
	config = rest.CopyConfig(config)
	config.Timeout = measureTimeout // two of the clients take no context
	use, err := metricsclient.NewForConfig(config)
	if err != nil {
		return nil, nil, fmt.Errorf("making the client of metrics.k8s.io: %w", err)
	}
	disco, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, nil, fmt.Errorf("making the client of custom.metrics.k8s.io: %w", err)
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(disco))
	external, err := external_metrics.NewForConfig(config)
	if err != nil {
		return nil, nil, fmt.Errorf("making the client of external.metrics.k8s.io: %w", err)
	}
	return resourceMetrics{use}, metricsAPIs{custom: custom_metrics.NewForConfig(config, mapper, custom_metrics.NewAvailableAPIsGetter(disco)), external: external}, nil
}

func (a metricsAPIs) metric(q question, selector labels.Selector) (answer, error) {
	kind := schema.GroupKind{Group: q.group, Kind: q.kind}
	switch {
	case q.kind == "":
		list, err := a.external.NamespacedMetrics(q.namespace).List(q.metric, selector)
		if err != nil {
			return nil, err
		}
		sum := reading{}
		for i, v := range list.Items {
			sum.value += v.Value.AsApproximateFloat64()
			sum.window = max(sum.window, window(v.WindowSeconds))
			if i == 0 || v.Timestamp.Time.Before(sum.at) { // as old as its oldest part
				sum.at = v.Timestamp.Time
			}
		}
		if len(list.Items) == 0 {
			return answer{}, nil // no series is no number
		}
		return answer{"": sum}, nil
	case q.object != "":
		v, err := a.custom.NamespacedMetrics(q.namespace).GetForObject(kind, q.object, q.metric, selector)
		if err != nil {
			return nil, err
		}
		return answer{"": {value: v.Value.AsApproximateFloat64(), at: v.Timestamp.Time, window: window(v.WindowSeconds)}}, nil
	}
	list, err := a.custom.NamespacedMetrics(q.namespace).GetForObjects(kind, labels.Everything(), q.metric, selector)
	if err != nil {
		return nil, err
	}
	all := answer{}
	for _, v := range list.Items {
		all[q.namespace+"/"+v.DescribedObject.Name] = reading{value: v.Value.AsApproximateFloat64(), at: v.Timestamp.Time, window: window(v.WindowSeconds)}
	}
	return all, nil
}

func window(seconds *int64) time.Duration {
	if seconds == nil {
		return 0
	}
	return time.Duration(min(*seconds, 3600)) * time.Second
}

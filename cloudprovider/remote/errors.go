package remote

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wholescale/wholescale/cloudprovider"
)

const domain = "wholescale"

// kinds are the errors that mean something, each with its code and the reason that tells apart those of one code.
var kinds = []struct {
	kind   error
	code   codes.Code
	reason string
}{
	{cloudprovider.ErrOldEpoch, codes.FailedPrecondition, "OLD_EPOCH"},
	{cloudprovider.ErrNoPool, codes.NotFound, "NO_POOL"},
	{cloudprovider.ErrNoStock, codes.ResourceExhausted, "NO_STOCK"},
	{cloudprovider.ErrOverLimit, codes.ResourceExhausted, "OVER_LIMIT"},
	{cloudprovider.ErrInvalid, codes.InvalidArgument, "INVALID"},
	{cloudprovider.ErrUnavailable, codes.Unavailable, "UNAVAILABLE"},
}

// toStatus is the error as the wire carries it.
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	for _, k := range kinds {
		if !errors.Is(err, k.kind) {
			continue
		}
		s, detailErr := status.New(k.code, err.Error()).WithDetails(&errdetails.ErrorInfo{Reason: k.reason, Domain: domain})
		if detailErr != nil {
			return status.Error(k.code, err.Error())
		}
		return s.Err()
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return status.FromContextError(err).Err()
	}
	return status.Error(codes.Unknown, err.Error())
}

// fromStatus is the error as the controller knows it. Only a kind that the other side named is taken for one: gRPC
// itself uses the same codes for its own troubles (RESOURCE_EXHAUSTED for a message that is too large).
func fromStatus(call string, err error) error {
	if err == nil {
		return nil
	}
	s := status.Convert(err)
	for _, d := range s.Details() {
		info, ok := d.(*errdetails.ErrorInfo)
		if !ok || info.GetDomain() != domain {
			continue
		}
		for _, k := range kinds {
			if info.GetReason() == k.reason && s.Code() == k.code {
				return fmt.Errorf("%s: %w (%s)", call, k.kind, s.Message())
			}
		}
	}
	switch s.Code() {
	case codes.Unavailable:
		return fmt.Errorf("%s: %w: %s", call, cloudprovider.ErrUnavailable, s.Message())
	case codes.DeadlineExceeded:
		return fmt.Errorf("%s: %w: %w", call, cloudprovider.ErrUnavailable, context.DeadlineExceeded)
	case codes.Canceled:
		return fmt.Errorf("%s: %w", call, context.Canceled)
	}
	return fmt.Errorf("%s: %s: %s", call, s.Code(), s.Message())
}

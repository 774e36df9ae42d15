package trace

import (
	"bytes"
	_ "embed" // the sample
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// ServiceModel is how long a request keeps a pod busy, by the tokens that it reads and writes: Base + ContextTokens x
// PerContext + GeneratedTokens x PerGenerated.
type ServiceModel struct {
	Base, PerContext, PerGenerated time.Duration
}

// DefaultServiceModel is of the order of a 7B model on one accelerator: 20 ms to begin, 0.05 ms a token read, 10 ms a
// token written. The trace has token counts and no times, so that the service time is the reader's choice.
var DefaultServiceModel = ServiceModel{Base: 20 * time.Millisecond, PerContext: 50 * time.Microsecond, PerGenerated: 10 * time.Millisecond}

// Of is the service time of one request.
func (m ServiceModel) Of(context, generated int) time.Duration {
	return m.Base + time.Duration(context)*m.PerContext + time.Duration(generated)*m.PerGenerated
}

// mostTokens bounds what a line may claim; the longest contexts of 2026 are some millions.
const mostTokens = 100_000_000

// mostRequests bounds what ReadAzureLLM holds in memory: about 1 GB. The longest Azure LLM trace has 17 million in a file.
const mostRequests = 20_000_000

//go:embed samples/azure-llm-code.csv.gz
var azureLLMCode []byte

// AzureLLMSample is the shipped sample: the code trace of the Azure LLM inference data set of 2023 (8,819 requests in 57
// minutes; CC-BY 4.0, see samples/azure-llm-code.NOTICE.md).
func AzureLLMSample(m ServiceModel) ([]Request, error) {
	return ReadAzureLLM(bytes.NewReader(azureLLMCode), "azure-llm-code.csv.gz", m)
}

// OpenAzureLLM reads a file in the format of the Azure LLM data sets of 2023 and 2024.
func OpenAzureLLM(path string, m ServiceModel) ([]Request, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the trace: %w", err)
	}
	defer f.Close() // read only: nothing to lose
	return ReadAzureLLM(io.NopCloser(f), path, m)
}

// ReadAzureLLM reads TIMESTAMP,ContextTokens,GeneratedTokens, in any order of columns, packed or not, all at once. Times are
// like "2023-11-16 18:15:46.6805900", without a zone, and must not go back.
func ReadAzureLLM(r io.Reader, name string, m ServiceModel) ([]Request, error) {
	t, err := Read(r, name, Options{Format: AzureLLM})
	if err != nil {
		return nil, err
	}
	defer t.Close() // read only: nothing to lose
	return azureLLMRequests(t, m, mostRequests)
}

func azureLLMRequests(t *Trace, m ServiceModel, most int) ([]Request, error) {
	var list []Request
	err := t.Each(func(row *Row) error {
		if len(list) == most {
			return fmt.Errorf("more than %d requests; cut the trace into parts", most)
		}
		list = append(list, Request{At: row.At, Service: m.Of(row.ContextTokens, row.GeneratedTokens)})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

func tokens(s string) (int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n < 0 || n > mostTokens {
		return 0, fmt.Errorf("%q is not a whole number of 0 to %d", clip([]byte(s)), mostTokens)
	}
	return n, nil
}

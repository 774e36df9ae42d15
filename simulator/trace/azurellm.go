package trace

import (
	"bufio"
	"bytes"
	"compress/gzip"
	_ "embed" // the sample
	"encoding/csv"
	"errors"
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

const (
	// mostRequests bounds a trace, which is held in memory: about 1 GB. The longest Azure LLM trace has 17 million in a file.
	mostRequests = 20_000_000
	// mostLine bounds a line in bytes, so that a file without ends of line, or a few packed bytes, do not fill the memory.
	mostLine = 1 << 20
)

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
	return ReadAzureLLM(f, path, m)
}

// ReadAzureLLM reads TIMESTAMP,ContextTokens,GeneratedTokens, in any order of columns, gzipped or not. Times are like
// "2023-11-16 18:15:46.6805900", without a zone, and must not go back.
func ReadAzureLLM(r io.Reader, name string, m ServiceModel) ([]Request, error) {
	buffered := bufio.NewReader(r)
	if magic, _ := buffered.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, &Error{File: name, Line: 1, Err: fmt.Errorf("not a gzip file after all: %w", err)}
		}
		buffered = bufio.NewReader(z)
	}
	if bom, _ := buffered.Peek(3); bytes.Equal(bom, []byte("\xef\xbb\xbf")) {
		_, _ = buffered.Discard(3)
	}
	reader := azureLLMReader{csv: csv.NewReader(&shortLines{from: buffered}), name: name, model: m, most: mostRequests}
	reader.csv.FieldsPerRecord, reader.csv.ReuseRecord = -1, true
	return reader.all()
}

type azureLLMReader struct {
	csv                          *csv.Reader
	name                         string
	model                        ServiceModel
	time, context, written, line int
	first, last                  time.Time
	most                         int
}

// shortLines passes on what it reads until a line is too long.
type shortLines struct {
	from io.Reader
	line int
}

func (s *shortLines) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	for _, c := range p[:n] {
		if s.line++; c == '\n' {
			s.line = 0
		}
		if s.line > mostLine {
			return 0, fmt.Errorf("a line is longer than %d bytes", mostLine)
		}
	}
	return n, err
}

func (r *azureLLMReader) all() ([]Request, error) {
	if err := r.header(); err != nil {
		return nil, err
	}
	var list []Request
	for {
		row, err := r.csv.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, &Error{File: r.name, Line: r.line + 1, Err: unplaced(err)}
		}
		r.line, _ = r.csv.FieldPos(0)
		request, err := r.request(row)
		if err != nil {
			return nil, err
		}
		if len(list) == r.most {
			return nil, &Error{File: r.name, Line: r.line, Err: fmt.Errorf("more than %d requests; cut the trace into parts", r.most)}
		}
		list = append(list, request)
	}
	if len(list) == 0 {
		return nil, &Error{File: r.name, Line: 1, Err: ErrEmpty}
	}
	return list, nil
}

// unplaced is what is wrong without csv's own line, as Error says it.
func unplaced(err error) error {
	var place *csv.ParseError
	if errors.As(err, &place) {
		return place.Err
	}
	return err
}

func (r *azureLLMReader) header() error {
	row, err := r.csv.Read()
	if errors.Is(err, io.EOF) {
		return &Error{File: r.name, Line: 1, Err: ErrEmpty}
	}
	if err != nil {
		return &Error{File: r.name, Line: 1, Err: fmt.Errorf("reading the header: %w", unplaced(err))}
	}
	r.line = 1
	for _, c := range []struct {
		name string
		at   *int
	}{{"TIMESTAMP", &r.time}, {"ContextTokens", &r.context}, {"GeneratedTokens", &r.written}} {
		*c.at = -1
		for i, title := range row {
			if strings.EqualFold(strings.TrimSpace(title), c.name) {
				*c.at = i
			}
		}
		if *c.at < 0 {
			return &Error{File: r.name, Line: 1, Column: c.name, Err: errors.New("there is no such column; is this an Azure LLM trace?")}
		}
	}
	return nil
}

func (r *azureLLMReader) request(row []string) (Request, error) {
	fail := func(column string, err error) (Request, error) {
		return Request{}, &Error{File: r.name, Line: r.line, Column: column, Err: err}
	}
	if len(row) <= max(r.time, r.context, r.written) {
		return fail("", fmt.Errorf("%d columns are too few", len(row)))
	}
	at, err := time.Parse("2006-01-02 15:04:05.9999999", strings.TrimSpace(row[r.time]))
	switch {
	case err != nil:
		return fail("TIMESTAMP", fmt.Errorf("%q is not a time such as 2023-11-16 18:15:46.6805900", row[r.time]))
	case at.Before(r.last):
		return fail("TIMESTAMP", fmt.Errorf("%s is before the line above", row[r.time]))
	}
	if r.first.IsZero() {
		r.first = at
	}
	r.last = at
	context, err := tokens(row[r.context])
	if err != nil {
		return fail("ContextTokens", err)
	}
	written, err := tokens(row[r.written])
	if err != nil {
		return fail("GeneratedTokens", err)
	}
	return Request{At: at.Sub(r.first), Service: r.model.Of(context, written)}, nil
}

func tokens(s string) (int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n < 0 || n > mostTokens {
		return 0, fmt.Errorf("%q is not a whole number of 0 to %d", s, mostTokens)
	}
	return n, nil
}

// Prints labels_parse_vectors.json: what labels.Parse and resource.Quantity of k8s.io/apimachinery make of the inputs
// below. Run it in a module that requires k8s.io/apimachinery v0.36.3.
package main

import (
	"encoding/json"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
)

type selectorVector struct {
	Selector string `json:"selector"`
	OK       bool   `json:"ok"`
	Text     string `json:"text"`
	Matches  []bool `json:"matches"`
}

type quantityVector struct {
	Milli int64  `json:"milli"`
	Text  string `json:"text"`
}

func main() {
	long := strings.Repeat("a", 63)
	labelSets := []map[string]string{
		{}, {"x": "a"}, {"x": "b"}, {"x": ""}, {"x": "a", "y": "1"}, {"x": "3"}, {"x": "10"},
		{"x": "99999999999999999999"}, {"y": "a", "z": "b"}, {"example.com/x": "a"}, {"x": "in"}, {"in": "a"},
	}
	selectors := []string{
		"", " ", ",", "x", "!x", "! x", "!!x", "x,", ",x", "x,,y", "x,y", "x,!y", "!x,y",
		"x=a", "x==a", "x===a", "x!=a", "x = a", "x\t==\r\na", "x=", "x==", "x!=", "x=,y", "x=a,y=1", "y=1,x=a",
		"x a", "x=a b", "x=a,y=1,", "x=(a)", "x=!a", "x=a=b", "=a", "==a", "!=a", "!x=a", "!x in (a)", "!",
		"x in (a)", "x in (a,b)", "x in (b,a,b)", "x in ( a , b )", "x in ()", "x in (,)", "x in (,a)", "x in (a,)",
		"x in (a,,b)", "x in (,,)", "x in a", "x in (a", "x in (a,", "x in (", "x in", "x in )", "x in (a b)",
		"x in (a))", "x in (=)", "x in (!a)", "x in ((a))", "x in(a)", "xin(a)", "x in(a),y", "x in (in,notin)",
		"x notin (a)", "x notin (a,b)", "x notin ()", "x notin", "x notin (a),y in (a)", "x NOTIN (a)", "x In (a)",
		"in", "notin", "!in", "in in (in)", "in=a", "x=in", "x=notin", "notin notin (notin)", "in,notin",
		"x>1", "x<1", "x > 5", "x<11", "x>", "x>a", "x>1.5", "x>-1", "x>+1", "x>01", "x>1_0", "x>=1", "x<=1", "x=>1",
		"x>9223372036854775807", "x>9223372036854775808", "x<9223372036854775807", "x>(1)", "x>1,x<11",
		"example.com/x", "example.com/x=a", "!example.com/x", "Example.com/x=a", "/x=a", "example.com/=a",
		"a/b/x=a", "example..com/x", "-a.com/x", "a_b.com/x", "a.b-c.com/x_y.z", "x/ =a",
		long, long + "a", "x=" + long, "x=" + long + "a", strings.Repeat("a", 253) + "/x", strings.Repeat("a", 254) + "/x",
		"-x", "x-", "_x", ".x", "x.", "x=-a", "x=a-", "x=_a", "x=a.", "x=a/b", "x=a:b", "x=a@b", "x=a.b_c-d",
		"x=10.0.0.1", "x=10.0.0.1:8000", "x=é", "é=a", "x\u00a0=a", "x=\u0007", "x=\"a\"", "x='a'", "x=*", "x=a*", "x=a|b",
		"x=a;y=1", "x=a&y=1", "x~=a", "x=~a", "x!~a", "{x=\"a\"}", "x:a", "x,x", "x=a,x=b", "x in (a), x notin (b)",
		"x=a,x=a", "y,x,z", "z=b,y in (a,c),!x",
		// Names of models, as people write them, and what they are turned into.
		"x=org/name:v2", "x in (org/name)", "x=org_name_v2", "x=org_name_v2-3cab7505", "x in (org_name,org.name)",
		"x notin (a,b),x", "x notin (a),!x", "!x,x=a", "x=a,x", "x!=a,x!=b,y", "x in (a,b),x in (b)", "x notin (,)", "x notin (a,)",
		"x\n=\na", "\tx\t", "x =", "x = ,y", "x != ", "x in ( )", "x in (\t,\n)", "x in\t(a)", "x notin(a)", "x notin (a)y", "x in (a) y",
		"x in (a),,y", "x in (a)(b)", "(x=a)", "x=(a", "x=a)", "x=()", "x==(a)", "x!=(a)", "x=a!", "x=a<1", "x>1>2", "x<1=2", "x>1<2",
		"x>-9223372036854775808", "x<-9223372036854775809", "x>0x1", "x>1e1", "x> 1", "x >1", "x>,y", "x<,", "x > ", "x>00", "x>-0", "x<+",
		"!in=a", "!notin", "! in", "in in in", "in in (in,in)", "notin=notin", "in!=in", "in>1", "in notin (notin)", "x in (in)", "x=in,in",
		"x=a,\u00e9", "\u2028x", "x\u2003=a", "x=\u200b", "x=a\u0085", "\ufeffx", "x\v=a", "x\f=a", "x=a#b", "x=a%2Cb", "x=$(a)", "x=${a}", "x=a\\,b",
		"x.y/z", "x.y/z/", "//x", "x//y", "1.2.3.4/x=a", "a.b/-x", "a.b/x-", "a-/x", "-a/x", "a./x", ".a/x", "A.b/x", "xn--a.b/x=1",
		strings.Repeat("x,", 200)+"x", "x in ("+strings.Repeat("a,", 300)+"a)", strings.Repeat("!", 50)+"x", strings.Repeat("(", 50),
	}
	out := struct {
		Source     string              `json:"source"`
		LabelSets  []map[string]string `json:"label_sets"`
		Selectors  []selectorVector    `json:"selectors"`
		Quantities []quantityVector    `json:"quantities"`
	}{
		Source:    "k8s.io/apimachinery v0.36.3: labels.Parse, Selector.String, Selector.Matches; resource.NewMilliQuantity(DecimalSI).String; written by labels_parse_vectors.go",
		LabelSets: labelSets,
	}
	for _, text := range selectors {
		vector := selectorVector{Selector: text, Matches: []bool{}}
		if selector, err := labels.Parse(text); err == nil {
			vector.OK, vector.Text = true, selector.String()
			for _, set := range labelSets {
				vector.Matches = append(vector.Matches, selector.Matches(labels.Set(set)))
			}
		}
		out.Selectors = append(out.Selectors, vector)
	}
	for _, milli := range []int64{
		0, 1, 10, 100, 999, 1000, 1001, 1500, 10000, 12000, 999000, 1000000, 1000001, 1500000, 12000000, 1000000000,
		1234567000, 120000000000, 1000000000000, 1000000000000000, 5000000000000000000, 9223372036854775807,
	} {
		out.Quantities = append(out.Quantities, quantityVector{milli, resource.NewMilliQuantity(milli, resource.DecimalSI).String()})
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(out); err != nil {
		panic(err)
	}
}

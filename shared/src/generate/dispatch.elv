
# 'qwen NAME ...' is completed as 'qwen-NAME ...'.
{
    var own = $edit:completion:arg-completer[qwen]
    set edit:completion:arg-completer[qwen] = {|@words|
        var last = (- (count $words) 1)
        var at = 1
        while (and (< $at $last) (str:has-prefix $words[$at] '-')) {
            if (has-value [@VALUED@] $words[$at]) {
                set at = (+ $at 1)
            }
            set at = (+ $at 1)
        }
        if (and (< $at $last) (has-key $edit:completion:arg-completer qwen-$words[$at])) {
            $edit:completion:arg-completer[qwen-$words[$at]] qwen-$words[$at] (all $words[(+ $at 1)..])
        } else {
            $own $@words
        }
    }
}

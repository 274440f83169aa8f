
# What may follow a flag or a subcommand; and operands are passed over, so that flags after them are completed.
{
@LIVE@
    var own = $edit:completion:arg-completer[@NAME@]
    var options = [@OPTIONS@]
    var operands = [@OPERANDS@]
    set edit:completion:arg-completer[@NAME@] = {|@words|
        var path = [(each {|word| if (has-value [@SUBCOMMANDS@] $word) { put $word } } $words[1..-1] | take 1)]
        var operand = (if (eq $path []) { put '' } else { put $path[0] })
        if (has-key $options $words[-2]) {
            $options[$words[-2]]
        } elif (and (has-key $operands $operand) (not (str:has-prefix $words[-1] '-'))) {
            $operands[$operand]
        } else {
            $own $words[0] $@path $words[-1]
        }
    }
}

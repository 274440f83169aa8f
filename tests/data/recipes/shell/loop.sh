# what: a loop asks about each line, not about the first and all the others at once
# seen: https://github.com/nitefood/asn/issues/97
# seen: https://github.com/suzuki-shunsuke/github-comment/issues/169
# seen: https://github.com/jimsalterjrs/sanoid/issues/74
# recipe: A loop
# asked: 3
printf '%s\n' one two three >issues.txt
. ~/recipe >labels
is "$(cut -f 2 labels | paste -sd ' ')" 'one two three'

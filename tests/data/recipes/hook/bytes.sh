# what: bytes that are no UTF-8, and files that are no text
# asked: 2
# sent: caf
printf 'caf\351 cr\350me\n' >latin
git add latin
git commit -q
is "$(message)" "$proposal"
printf 'caf\0\377' >binary
git add binary
git commit -q
is "$(message)" "$proposal"

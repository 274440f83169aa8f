# what: lines that git adds stay below
# asked: 1
change two
git commit -q --signoff
is "$(message)" "$(printf '%s\n\nSigned-off-by: Ada <ada@lab.test>' "$proposal")"

# what: no colour is sent, whatever is configured
# seen: https://github.com/wong2/diffx/pull/7
# asked: 1
# sent: +two
git config color.ui always
git config diff.noprefix true
git config core.pager false
change two
git commit -q
is "$(message)" "$proposal"
